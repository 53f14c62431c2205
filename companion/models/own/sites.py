"""A Pyro program site by site, and which of Pyro's ELBOs its loss is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from companion.models.own.site_record import PyroVerification, Site
from companion.models.own.temper import tempered

__all__ = ["verify_pyro"]

#: The second needs reparametrised samples, the third is of use for discrete ones.
ESTIMATORS = ("Trace_ELBO", "TraceMeanField_ELBO", "TraceEnum_ELBO")
#: Of a match between a loss and an estimator, relative to their size.
NEAR = {torch.float64: 1e-9, torch.float32: 1e-4}
#: Round-off that is allowed, in units of eps · √(entries) · Σ|terms|.
ROUND_OFF = 64


def verify_pyro(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    data: Any,
    loss: Any = None,
    seed: int = 0,
) -> PyroVerification:
    """Sites of a Pyro program, the identity F − S = Σ slopes, and what its loss is.

    Parameters
    ----------
    model, guide
        As for ``pyro.infer.SVI``. Discrete sites of the guide are enumerated.
    data
        What both are called with: one argument, or a tuple of arguments.
    loss
        One of Pyro's ELBOs, or a function of ``(model, guide, *data)`` that returns a tensor.
    seed
        Of all draws.

    Raises
    ------
    ImportError
        If Pyro is not installed.
    ValueError
        If a site's family is not known, or the loss returns no scalar.

    Parameters, their store and the random state are left as they were. Source: this companion.
    """
    pyro = _pyro()
    given = data if isinstance(data, tuple) else (data,)
    with _aside(pyro):
        posterior_entropy, sites, rounding, dtype = _sites(pyro, model, guide, given, seed)
        discrete = any(s.enumerated for s in sites)
        notes = [
            f"Site {s.name} has scale {s.scale:.6g} (poutine.scale, or a plate with subsampling)."
            for s in sites
            if s.scale != 1
        ]
        runs = {
            name: _run(pyro, _estimator(pyro, name), model, guide, given, seed)
            for name in (ESTIMATORS[::2] if discrete else ESTIMATORS[:2])
        }
        matches: list[str] = []
        if loss is not None:
            matches, said = _matches(_run(pyro, loss, model, guide, given, seed), runs, dtype)
            notes += said
    return PyroVerification(
        sites=tuple(sites),
        posterior_entropy=posterior_entropy,
        estimators={name: value for name, (value, _) in runs.items()},
        matches=tuple(matches),
        notes=tuple(notes),
        tolerance=rounding,
    )


def _pyro() -> ModuleType:
    try:
        import pyro
        import pyro.infer
        import pyro.poutine
    except ImportError as error:
        raise ImportError("verify_pyro needs Pyro: install pyro-ppl") from error
    return pyro


@contextmanager
def _aside(pyro: ModuleType) -> Iterator[None]:
    """Within: parameters may be made and numbers drawn; after, store and states are as before."""
    store = pyro.get_param_store()
    drawing = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=drawing), store.scope(store.get_state()):
        yield


def _nesting(trace: Any) -> int:
    """How many plates lie within one another."""
    dims = [
        -frame.dim
        for site in trace.nodes.values()
        if site["type"] == "sample"
        for frame in site["cond_indep_stack"]
        if frame.vectorized
    ]
    return max(dims, default=0)


def _sites(
    pyro: ModuleType, model: Any, guide: Any, given: tuple[Any, ...], seed: int
) -> tuple[float, list[Site], float, torch.dtype]:
    poutine = pyro.poutine
    plain = poutine.trace(guide).get_trace(*given)
    nesting = max(
        _nesting(plain),
        _nesting(poutine.trace(poutine.replay(model, trace=plain)).get_trace(*given)),
    )
    enumerated = poutine.enum(pyro.infer.config_enumerate(guide), first_available_dim=-1 - nesting)
    torch.manual_seed(seed)
    drawn = poutine.trace(enumerated).get_trace(*given)
    replayed = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(*given)
    of_guide = _samples(drawn)
    weights = [
        site["fn"].log_prob(site["value"]).exp()
        for site in of_guide
        if site["infer"].get("_enumerate_dim") is not None
    ]

    def expected(entries: Tensor, scale: Any) -> float:
        """Sum over plates, expectation over what is enumerated."""
        total = entries
        for weight in weights:
            if weight.dim() > nesting and entries.dim() > nesting:
                total = total * weight
        if total.dim() > nesting:
            total = total.sum(tuple(range(total.dim() - nesting)))
        return float((total * scale).sum().detach())

    entropy = -math.fsum(
        expected(site["fn"].log_prob(site["value"]), site["scale"]) for site in of_guide
    )
    sites, entries = [], 0
    for site in _samples(replayed):
        value, scale, observed = site["value"], site["scale"], site["is_observed"]
        density = site["fn"].log_prob(value)
        cold = tempered(site["fn"], free=not observed)
        extra = len(site["fn"].event_shape)

        def over_event(entries: Tensor, density: Tensor = density, extra: int = extra) -> Tensor:
            while entries.dim() > density.dim() and extra:
                entries, extra = entries.sum(-1), extra - 1
            return entries.expand(density.shape)

        base = 0.0
        if cold.log_base is not None:
            base = expected(over_event(cold.log_base(value)), scale)
        entries += value.numel()
        sites.append(
            Site(
                name=site["name"],
                observed=observed,
                log_density=expected(density, scale),
                entropy=expected(over_event(cold.entropy), scale),
                base_measure=base,
                slope=expected(over_event(cold.slope(value)), scale),
                scale=float(torch.as_tensor(scale).double().mean()),
                enumerated=site["infer"].get("_enumerate_dim") is not None,
            )
        )
    size = abs(entropy) + math.fsum(
        abs(s.log_density) + abs(s.entropy) + abs(s.base_measure) for s in sites
    )
    dtype = density.dtype
    return entropy, sites, ROUND_OFF * torch.finfo(dtype).eps * math.sqrt(entries) * size, dtype


def _samples(trace: Any) -> list[dict[str, Any]]:
    nodes = trace.nodes.values()
    return [
        site
        for site in nodes
        if site["type"] == "sample" and type(site["fn"]).__name__ != "_Subsample"
    ]


def _estimator(pyro: ModuleType, name: str) -> Any:
    quiet = {"strict_enumeration_warning": False} if name == "TraceEnum_ELBO" else {}
    return getattr(pyro.infer, name)(**quiet)


def _run(
    pyro: ModuleType, loss: Any, model: Any, guide: Any, given: tuple[Any, ...], seed: int
) -> tuple[float, list[Tensor]]:
    """Value and gradient in all parameters of the store."""
    function = getattr(loss, "differentiable_loss", loss)
    if type(loss).__name__ == "TraceEnum_ELBO":
        guide = pyro.infer.config_enumerate(guide)
    torch.manual_seed(seed)
    value = torch.as_tensor(function(model, guide, *given))
    if value.numel() != 1:
        raise ValueError(f"loss must return a scalar: got shape {tuple(value.shape)}")
    held = dict(pyro.get_param_store().named_parameters())
    if not value.requires_grad:
        return float(value), [torch.zeros_like(p) for p in held.values()]
    gradient = torch.autograd.grad(
        value.reshape(()), list(held.values()), allow_unused=True, materialize_grads=True
    )
    return float(value.detach()), list(gradient)


def _matches(
    loss: tuple[float, list[Tensor]],
    runs: dict[str, tuple[float, list[Tensor]]],
    dtype: torch.dtype,
) -> tuple[list[str], list[str]]:
    """Estimators that a loss equals, and sentences on those that it nearly is."""
    near = NEAR.get(dtype, NEAR[torch.float32])
    value, gradient = loss[0], _flat(loss[1])
    found, said = [], []
    for name, (other, others) in runs.items():
        flat = _flat(others)
        share = float(gradient @ flat / (flat @ flat).clamp(min=1e-300))
        close = float((gradient - share * flat).norm()) <= near * float(gradient.norm())
        same = abs(value - share * other) <= near * abs(value)
        if close and same and abs(share - 1) <= near:
            found.append(name)
        elif close and same:
            said.append(f"The loss is {share:.6g} times {name}.")
        elif close and abs(share - 1) <= near:
            said.append(
                f"The loss has the gradient of {name}, and a value {value - other:.6g} above it."
            )
        elif abs(value - other) <= near * abs(value):
            said.append(f"The loss has the value of {name}, and another gradient.")
    if not found and not said:
        said.append("The loss is none of " + ", ".join(runs) + ".")
    return found, [] if found else said


def _flat(gradient: list[Tensor]) -> Tensor:
    return torch.cat([block.reshape(-1).double() for block in gradient])
