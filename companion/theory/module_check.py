"""Is my ELBO right? The identity as a unit test for any ``torch.nn.Module``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from companion.support.tables import Record

__all__ = ["ModuleVerification", "verify_module"]

Scalar = Callable[[nn.Module], Tensor]
Direction = Mapping[str, Tensor | float]

#: Allowed |gap − slope| / (1 + |ELBO|), by dtype.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@dataclass(frozen=True, repr=False)
class ModuleVerification(Record):
    """ELBO − entropy sum against ⟨∇ELBO, v⟩ for a module, in the units of its own ELBO.

    ``passed`` says whether the residual is round-off for the module's dtype. ``blocks`` splits the
    slope by parameter: a wrong ELBO often shows as a missing or doubled block.
    """

    elbo: float
    entropy_sum: float
    slope: float
    blocks: Mapping[str, float]
    tolerance: float

    decimals = 6

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.elbo - self.entropy_sum

    @property
    def residual(self) -> float:
        """|gap − slope|."""
        return abs(self.gap - self.slope)

    @property
    def passed(self) -> bool:
        """Whether residual ≤ tolerance · (1 + |ELBO|)."""
        return self.residual <= self.tolerance * (1 + abs(self.elbo))

    def rows(self) -> list[tuple[str, str | float]]:
        """Label and value of everything, in reading order."""
        return [
            ("ELBO", self.elbo),
            ("entropy sum", self.entropy_sum),
            ("gap = ELBO − entropy sum", self.gap),
            *((f"slope, {name}", value) for name, value in self.blocks.items()),
            ("slope = ⟨∇ELBO, v⟩", self.slope),
            ("residual |gap − slope|", self.residual),
            ("verdict", "the identity holds" if self.passed else "the identity FAILS"),
        ]


def verify_module(
    module: nn.Module,
    elbo: Scalar,
    entropy_sum: Scalar,
    direction: Direction | Callable[[nn.Module], Direction],
    seed: int = 0,
) -> ModuleVerification:
    """Check ELBO − entropy sum = ⟨∇ELBO, v⟩ at the module's present parameters.

    No training is needed, and the module is left as it was.

    Parameters
    ----------
    module
        Any module; its parameters are the variables of the ELBO.
    elbo, entropy_sum
        Functions of the module that return a scalar, both in the same units (per data point, say)
        and on the same data.
    direction
        v by parameter name, or a function of the module that gives it; a number stands for a
        constant tensor, and parameters that are left out have v = 0.
    seed
        Set before each of the two functions, which may draw samples: they see the same ones if
        torch draws them in the same order, and then one sample is enough.

    Raises
    ------
    ValueError
        If a name in ``direction`` is no parameter of the module, or an entry has another shape; if
        ELBO or entropy sum is no finite scalar, or the ELBO differs between two runs with one seed.

    Source: this companion.

    >>> class Noise(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.log_variance = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    >>> x = torch.tensor([0.1, -2.0, 0.7], dtype=torch.float64)
    >>> def log_likelihood(m):
    ...     std = (m.log_variance / 2).exp()
    ...     return torch.distributions.Normal(0.0, std).log_prob(x).mean()
    >>> def minus_entropy(m):
    ...     return -(m.log_variance + math.log(2 * math.pi * math.e)) / 2
    >>> verify_module(Noise(), log_likelihood, minus_entropy, {"log_variance": -1.0}).passed
    True
    """
    named = dict(module.named_parameters())
    if not named:
        raise ValueError("module must have parameters: got none")
    v = _direction(direction(module) if callable(direction) else direction, named)
    training = module.training
    with torch.random.fork_rng(devices=[]):
        first = _scalar(elbo, module, seed, "elbo")
        again = _scalar(elbo, module, seed, "elbo")
        sums = _scalar(entropy_sum, module, seed, "entropy_sum")
    module.train(training)
    if not torch.equal(first.detach(), again.detach()):
        raise ValueError(
            "elbo must give the same value twice under one seed: got "
            f"{float(first.detach()):.9g} and {float(again.detach()):.9g}; draw its samples with "
            "torch, not with another generator"
        )
    if not first.requires_grad:
        raise ValueError("elbo must depend on the module's parameters: it has no gradient")
    moved = [named[name] for name in v]
    gradients = torch.autograd.grad(first, moved, materialize_grads=True)
    blocks = {
        name: float((gradient * v[name]).sum()) for name, gradient in zip(v, gradients, strict=True)
    }
    dtype = next(iter(named.values())).dtype
    return ModuleVerification(
        elbo=float(first.detach()),
        entropy_sum=float(sums.detach()),
        slope=math.fsum(blocks.values()),
        blocks=blocks,
        tolerance=TOLERANCE.get(dtype, TOLERANCE[torch.float32]),
    )


def _direction(direction: Direction, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    v = {}
    for name, entry in direction.items():
        if name not in named:
            raise ValueError(
                f"direction names {name!r}, which is no parameter of the module: "
                f"it has {sorted(named)}"
            )
        parameter = named[name]
        value = torch.as_tensor(entry, dtype=parameter.dtype, device=parameter.device).detach()
        if value.dim() and value.shape != parameter.shape:
            raise ValueError(
                f"direction[{name!r}] must be a number or have shape {tuple(parameter.shape)}: "
                f"got {tuple(value.shape)}"
            )
        v[name] = value.expand(parameter.shape)
    if not v:
        raise ValueError("direction must have at least one entry: got none")
    return v


def _scalar(function: Scalar, module: nn.Module, seed: int, name: str) -> Tensor:
    torch.manual_seed(seed)
    value = function(module)
    if not isinstance(value, Tensor) or value.numel() != 1 or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must return a finite scalar tensor: got {value!r}")
    return value.reshape(())
