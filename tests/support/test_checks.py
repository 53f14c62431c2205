"""Numbers of any kind: taken as what they are, or refused in one sentence."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
import torch

from companion.support.checks import as_data, as_numbers, integer

X = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("kind", ("f2", "f4", ">f8", ">f4", "i1", "u2", ">i8", "u8", "longdouble"))
def test_every_dtype_of_numpy_is_taken(kind):
    taken = as_numbers(X.astype(np.longdouble if kind == "longdouble" else kind), "x")
    assert taken.dtype == torch.float64 and taken.tolist() == X.tolist()


@pytest.mark.parametrize(
    "given",
    (
        X[:, ::-1][:, ::-1],
        np.asfortranarray(X),
        np.repeat(X, 2, 0)[::2],
        np.ma.MaskedArray(X),
        X.astype(object),
        [[Fraction(v) for v in row] for row in X.astype(int).tolist()],
        [[Decimal(v) for v in row] for row in X.astype(int).tolist()],
        [torch.tensor(row) for row in X],
        torch.tensor(X).float(),
        torch.tensor(X).to(torch.bfloat16),
        torch.tensor(X).long(),
    ),
)
def test_every_layout_is_taken(given):
    assert as_data(given).tolist() == X.tolist()


def test_lists_keep_all_digits():
    assert as_numbers([[0.1, 1 / 3], [1e300, -1e-300]], "x").tolist()[0] == [0.1, 1 / 3]
    assert as_data([(0.1, 1 / 3)]).tolist() == [[0.1, 1 / 3]]


def test_what_is_right_passes_untouched():
    x = torch.tensor(X)
    assert as_numbers(x, "x") is x and as_data(x).data_ptr() == x.data_ptr()
    learned = x.clone().requires_grad_()
    assert as_numbers(learned, "x") is learned
    assert as_data(learned, keep_graph=True) is learned and not as_data(learned).requires_grad
    assert as_numbers(torch.tensor([True, False]), "x").tolist() == [1.0, 0.0]


def test_gradients_pass_through_a_cast():
    x = torch.ones(3, requires_grad=True)
    as_numbers(x, "x").sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    (
        (np.ma.masked_equal(X, 3), "x must have no masked entries: found 1 among 12; fill them"),
        (torch.full((2, 2), 2**53 + 1), r"at most 2\*\*53 .* found 9007199254740993"),
        (np.full((2, 2), -(2**60)), "found -1152921504606846976"),
        ([[2**70, 1], [2, 3]], "found 1180591620717411303424"),
        (scipy.sparse.csr_matrix(X), "x must be dense: got a sparse csr_matrix; use its toarray"),
        (torch.tensor(X).to_sparse(), "holds its numbers: got a sparse tensor"),
        (torch.tensor(X, device="meta"), "holds its numbers: got a meta tensor"),
        (torch.tensor(X) + 1j, "x must be real: got dtype torch.complex128"),
        (X + 1j, "x must be real: got dtype complex128"),
        (X.astype(str), "nested lists of numbers: got an array of <U"),
        ([["1", "2"]], "nested lists of numbers: got list"),
        (np.array([["a", 1]], dtype=object), "got an array of object"),
        (np.full((2, 2), np.datetime64("2020-01-01")), r"got an array of datetime64\[D\]"),
        ([[1.0, None]], "x must be finite: found 1 NaN"),
        ({"a": [1.0]}, "got dict"),
        ((row for row in X), "got generator"),
        (b"12", "got bytes"),
    ),
)
def test_what_is_no_number_is_named(given, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        as_data(given)
    assert "\n" not in str(caught.value)


def test_tables_of_pandas_are_taken_or_their_columns_named():
    import pandas

    table = pandas.DataFrame(X, columns=list("abc"))
    whole = table.astype({"a": "Int64", "b": "Float32", "c": "int8"})
    for each in (table, whole, table.astype(object)):
        assert as_data(each).tolist() == X.tolist()
    assert as_numbers(table["b"], "x").tolist() == X[:, 1].tolist()
    whole.loc[2, "a"] = pandas.NA
    with pytest.raises(
        ValueError, match=r"1 of 4 values are missing in its column 'a', first in row 2"
    ):
        as_data(whole)
    for column in (
        ["red"] * 4,
        pandas.to_datetime(["2020-01-01"] * 4),
        pandas.Categorical(list("abab")),
    ):
        with pytest.raises(
            ValueError, match=r"its column 'kind' has dtype .* encode it as numbers"
        ):
            as_data(table.assign(kind=column))


@pytest.mark.parametrize("bad", (-1, 1.0, "2", None, True, 10**30))
def test_integers_are_no_other_numbers(bad):
    with pytest.raises(ValueError, match="seed must be an integer of at least 0: got"):
        integer(bad, "seed")
    assert integer(np.int64(3), "seed") == 3
