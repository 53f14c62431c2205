"""The common check: every public call, with each argument replaced in turn.

As scikit-learn's estimator checks do for estimators. The list of names is generated; whoever adds a
public name gives one valid call in ``calls.py``.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.theory.projection import NotReached
from tests.common import hostile
from tests.common.calls import Call, calls

#: Of prototypes of torch, and of fits of two steps.
pytestmark = pytest.mark.filterwarnings("ignore")

CALLS = dict(calls())
#: Methods that say of values whether they are right.
TELL = (".invalid", ".support")
#: Where counts may be sparse.
SPARSE = ("models.LDA", "models.MeanFieldTopics")
#: Arguments that may be anything of a kind: labels and cells of tables, names in messages.
ANYTHING: set[tuple[str, str]] = {
    ("models.Factor", "name"),
    ("Table", "cells"),
    ("Table", "columns"),
}


def test_every_public_name_has_a_valid_call():
    assert [name for name, call in CALLS.items() if call is None] == []
    assert len(CALLS) > 600


@pytest.mark.parametrize(
    ("function", "said"),
    (
        (lambda x: x, "accepted"),
        (lambda x: x.no_such_method(), "raw AttributeError"),
        (int, "says not what is allowed"),
    ),
)
def test_the_check_sees_what_is_silent_and_what_is_raw(function, said):
    call = Call(lambda x: function(x), {"x": 1.0})
    assert outcome("f", call, "x", "text", "wrong").startswith(said)
    assert outcome("f", Call(lambda x: x * math.nan, {"x": 1.0}), "x", 2.0, "doubtful") == "NaN"


def run(call: Call, arguments: dict[str, Any]) -> Any:
    if "theta" in arguments:
        return call.function(arguments["theta"])
    return call.function(**arguments)


def fresh(arguments: Any) -> dict[str, Any]:
    """Generators at their start: a call draws from them."""
    new = dict(arguments)
    if isinstance(new.get("generator"), torch.Generator):
        new["generator"] = torch.Generator().manual_seed(0)
    return new


def numbers(result: Any, depth: int = 0) -> list[float]:
    """All numbers in a result, in order."""
    if isinstance(result, Tensor) and result.is_sparse:
        result = result.to_dense()
    if isinstance(result, Tensor):
        return result.detach().double().reshape(-1).tolist() if result.dtype != torch.bool else []
    if isinstance(result, np.ndarray):
        return result.reshape(-1).tolist() if result.dtype.kind in "fiu" else []
    if isinstance(result, bool) or result is None:
        return []
    if isinstance(result, int | float):
        return [float(result)]
    if isinstance(result, dict):
        return [n for each in result.values() for n in numbers(each, depth + 1)]
    if isinstance(result, tuple | list):
        return [n for each in result for n in numbers(each, depth + 1)]
    if is_dataclass(result) and not isinstance(result, type) and depth < 4:
        values = (getattr(result, field.name) for field in fields(result))
        return [n for each in values for n in numbers(each, depth + 1)]
    return []


def complaint(error: Exception) -> str | None:
    """Why this is not one sentence that says what is allowed; ``None`` if it is."""
    said = str(error)
    if not isinstance(error, ValueError | TypeError | NotReached):
        return f"raw {type(error).__name__}: {said[:120]}"
    if "\n" in said or len(said) > 500:
        return f"no one sentence: {said[:120]!r}"
    if not re.search(
        r"must|can't|needs|has no|have no|no gap direction|closed.form|; use |: use |; choose ",
        said,
    ):
        return f"says not what is allowed: {said[:160]!r}"
    return None


def outcome(name: str, call: Call, argument: str, value: Any, kind: str) -> str | None:
    """What is wrong with the outcome of one hostile call; ``None`` if nothing is."""
    try:
        result = run(call, fresh(call.arguments) | {argument: value})
        bad = [n for n in numbers(result) if math.isnan(n)]
    except Exception as error:
        return complaint(error)
    if kind == "wrong" and not name.endswith(TELL):
        return "accepted"
    return "NaN" if bad else None


def annotation(call: Call, argument: str) -> Any:
    found = inspect.signature(call.function).parameters.get(argument)
    return "" if found is None else found.annotation


def optional(call: Call, argument: str) -> bool:
    return "None" in str(annotation(call, argument))


#: Names by what they are of: the methods of one class, the functions of one module.
OWNERS: dict[str, list[str]] = {}
for _name in (name for name, call in CALLS.items() if call is not None):
    OWNERS.setdefault(_name.rpartition(".")[0], []).append(_name)
every_owner = pytest.mark.parametrize("owner", OWNERS)


@every_owner
def test_no_raw_no_silent_and_no_nan_outcome(owner):
    assert [said for name in OWNERS[owner] for said in outcomes(name)] == []


def outcomes(name: str) -> Iterator[str]:
    """What is wrong with the outcomes of a call whose arguments are replaced one by one."""
    call = CALLS[name]
    for argument, value in call.arguments.items():
        if (name, argument) in ANYTHING:
            continue
        tried = [(label, each, "wrong") for label, each in hostile.wrong(value)]
        tried += [(label, each, "doubtful") for label, each in hostile.doubtful(value)]
        if "Tensor" in str(annotation(call, argument)):  # numbers side by side are an array
            tried = [
                (label, each, "doubtful" if label == "list" else k) for label, each, k in tried
            ]
        if name.startswith(SPARSE) and argument == "x":
            tried = [
                (label, each, "doubtful" if label in ("sparse", "sparse matrix") else k)
                for label, each, k in tried
            ]
        tried.append(("None", None, "doubtful" if optional(call, argument) else "wrong"))
        for label, each, kind in tried:
            said = outcome(name, call, argument, each, kind)
            if said is not None:
                yield f"{name}: {argument}={label}: {said}"


@pytest.mark.slow
@every_owner
def test_numbers_of_any_kind_work_the_same(owner):
    for name in OWNERS[owner]:
        call = CALLS[name]
        arrays = {k: v for k, v in call.arguments.items() if isinstance(v, Tensor) and v.numel()}
        try:
            expected = numbers(run(call, fresh(call.arguments)))
        except ValueError as error:  # as a VAE has no posterior
            assert complaint(error) is None, name
            continue
        assert not any(map(math.isnan, expected)), name
        for argument, value in arrays.items():
            for label, each in hostile.same(value):
                found = numbers(run(call, fresh(call.arguments) | {argument: each}))
                wanted = pytest.approx(expected, rel=1e-12, abs=1e-12)
                assert found == wanted, (name, argument, label)
