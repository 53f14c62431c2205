"""Linear dynamical systems: the model of Kalman's filter, and learning it by EM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from companion.families import FullGaussian
from companion.models.chains.base import SequenceModel
from companion.models.chains.gaussian import GaussianChain
from companion.models.chains.kalman import (
    Innovations,
    LinearSystem,
    Smoothed,
    innovations,
    smoothed,
)
from companion.models.chains.residuals import (
    PARTS,
    Homoscedastic,
    Part,
    expected_log_prob,
    factor,
    from_covariance,
    product,
)
from companion.models.chains.sequences import as_sequences, rows_of
from companion.models.scaled import check_logs
from companion.support.checks import one_of, positive_integer
from companion.theory.model import Factor, Parameters, normal_draws
from companion.theory.variational import Nodes, Variational

__all__ = ["LinearDynamical"]

Initial = Literal["free", "stationary"]


@dataclass(frozen=True)
class LinearDynamical(SequenceModel[GaussianChain]):
    """z_1 ~ N(m, P), z_t | z_{t−1} ~ N(A z_{t−1}, Q), x_t | z_t ~ N(C z_t + d, R).

    Data are N sequences, ``(N, T, D)``, NaN where a step is missing
    (:func:`companion.models.padded` makes them from sequences of unequal length); a data point
    is a whole sequence, and q a :class:`companion.models.GaussianChain` over all of its steps.

    Parameters, shared over time: ``transition`` A, ``(H, H)``, ``weights`` C, ``(D, H)``, ``mean``
    d, ``(D,)``, and the Cholesky factors of Q and R, below and on the diagonal:
    ``transition_cholesky`` ``(H, H)``, ``transition_log_diagonal`` ``(H,)``, ``noise_cholesky``
    ``(D, D)``, ``noise_log_diagonal`` ``(D,)``. With ``initial_type="free"`` also ``initial_mean``
    m and ``initial_cholesky``, ``initial_log_diagonal`` of P, which one sequence alone can't tell;
    with ``initial_type="stationary"`` z_1 has the law that z_t tends to, m = 0 and P = A P Aᵀ + Q;
    then A is kept stable by learning ``contraction`` B, ``(H, H)``, in its place, A = B L⁻ᵀ with
    L Lᵀ = I + BᵀB, whose singular values are below 1: in some basis of the latents, every stable A
    is such a one.

    v is −½ on all Cholesky factors (entries below the diagonal shrink by half, logarithms on it
    fall by ½), 0 on A, C, d and m. The stationary P is proportional to Q at fixed A, so that it
    needs no step of its own. For the exact posterior the entropy sum is −½ Σ_t log det 2πe V_t,
    V_t the covariances of the filter's innovations: a function of parameters and lengths alone.

    Source: Kalman (1960) for the filter, Shumway & Stoffer (1982) for EM; this companion for the
    entropy sum.

    >>> model = LinearDynamical(observed=2, latent=1, initial_type="stationary")
    >>> sorted(model.shapes)[:3]
    ['contraction', 'mean', 'noise_cholesky']
    """

    observed: int
    latent: int
    initial_type: Initial = "free"

    kind = GaussianChain
    take_any = (
        *("check", "check_data", "checked", "resolved", "posterior", "log_likelihood", "m_step"),
        *("em_step", "em_map", "innovations"),
    )

    def __post_init__(self) -> None:
        positive_integer(self.observed, "observed")
        positive_integer(self.latent, "latent")
        one_of(self.initial_type, "initial_type", Initial)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        D, H = self.observed, self.latent
        shapes: dict[str, tuple[int, ...]] = {"weights": (D, H), "mean": (D,)}
        if self.initial_type == "free":
            shapes |= {"transition": (H, H), "initial_mean": (H,)}
        else:
            shapes["contraction"] = (H, H)
        for name in self._covariances:
            size = D if name == "noise" else H
            shapes |= {f"{name}_cholesky": (size, size), f"{name}_log_diagonal": (size,)}
        return shapes

    @property
    def _covariances(self) -> tuple[str, ...]:
        free = ("initial",) if self.initial_type == "free" else ()
        return (*free, "transition", "noise")

    def initial_parameters(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Random parameters; A is such that the state forgets its past."""
        drawn = {k: normal_draws(*s, generator=generator) for k, s in self.shapes.items()}
        for name in drawn:
            if name.endswith("cholesky"):
                drawn[name] = 0.3 * torch.tril(drawn[name], -1)
            if name.endswith("log_diagonal"):
                drawn[name] = 0.3 * drawn[name]
        if self.initial_type == "free":
            A = drawn["transition"]
            drawn["transition"] = 0.9 * A / torch.linalg.matrix_norm(A, 2)
        return drawn

    def gap_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        v = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for name in self._covariances:
            below = torch.tril(parameters[f"{name}_cholesky"], -1)
            v[f"{name}_cholesky"] = -0.5 * below
            v[f"{name}_log_diagonal"] = torch.full_like(below[0], -0.5)
        return v

    def system(self, parameters: Parameters) -> LinearSystem:
        """The matrices of the model."""
        Q, size = product(parameters, "transition"), self.latent
        if self.initial_type == "free":
            A, mean = parameters["transition"], parameters["initial_mean"]
            spread = product(parameters, "initial")
        else:
            B = parameters["contraction"]
            factor = torch.linalg.cholesky(torch.eye(size, dtype=B.dtype) + B.mT @ B)
            A = torch.linalg.solve_triangular(factor, B.mT, upper=False).mT
            equations = torch.eye(size * size, dtype=A.dtype) - torch.kron(A, A)
            spread = torch.linalg.solve(equations, Q.flatten()).unflatten(0, (size, size))
            mean, spread = torch.zeros_like(A[0]), (spread + spread.mT) / 2
        noise = product(parameters, "noise")
        return LinearSystem(mean, spread, A, Q, parameters["weights"], parameters["mean"], noise)

    @property
    def factors(self) -> tuple[Factor, ...]:
        return tuple(self._factor(name, part) for name, part in PARTS.items())

    def _factor(self, name: str, part: Part) -> Factor:
        own = {"prior": "initial", "transition": "transition", "observable": "noise"}[name]

        def width(p: Parameters, system: LinearSystem) -> Tensor:
            if name == "prior" and self.initial_type == "stationary":
                return torch.linalg.cholesky(system.initial_covariance)
            return factor(p, own)

        def located(p: Parameters, z: Tensor) -> tuple[Tensor, Tensor]:
            system = self.system(p)
            return part.mean(system, z), width(p, system)

        def closed_form(p: Parameters, q: Variational, x: Tensor) -> Tensor:
            system, chain = self.system(p), self._chain(q)
            second = partial(part.second, system, chain, x)
            return expected_log_prob(width(p, system), second, part.steps(chain).sum(1))

        def marginal(q: Variational) -> Nodes:
            return self._chain(q).counted(part.steps(self._chain(q)))

        found = Homoscedastic.gaussian(name, FullGaussian(), located)
        return replace(found, closed_form=closed_form, marginal=marginal)

    def check_parameters(self, parameters: Parameters) -> None:
        super().check_parameters(parameters)
        check_logs(parameters, [f"{name}_log_diagonal" for name in self._covariances])

    def check_data(self, x: Any) -> Tensor:
        return as_sequences(x, self.observed)

    def posterior(self, parameters: Parameters, x: Any) -> GaussianChain:
        """The exact posterior p(z_1, …, z_T | x) of every sequence, by Kalman's filter and RTS."""
        return _chain(smoothed(self.system(parameters), factor(parameters, "transition"), x))

    def innovations(self, parameters: Parameters, x: Any) -> Innovations:
        """Errors of the filter's predictions and the covariances V_t that it expects of them."""
        return innovations(self.system(parameters), x)

    def log_likelihood(self, parameters: Parameters, x: Any) -> Tensor:
        """(1/N) Σ_n log p(x_n) from the filter, in nats per sequence."""
        return self.innovations(parameters, x).log_likelihood.mean()

    def m_step(self, parameters: Parameters, q: Variational | None, x: Any) -> dict[str, Tensor]:
        """As for every model, after Shumway and Stoffer, for a q that knows what is missing.

        Raises
        ------
        ValueError
            For a single sequence or a stationary start, where there is none in closed form, for
            sequences of a single step, or if a covariance becomes singular.
        """
        if self.initial_type == "stationary" or len(x) < 2:
            raise ValueError(
                f'm_step needs initial_type="free" and two sequences or more: got initial_type='
                f"{self.initial_type!r} and {len(x)}; learn with fit.lbfgs and fit.newton"
            )
        chain = self._observing(parameters, q, x)
        (S, X), mean = chain.moments, chain.mean
        now, seen = chain.within[:, 1:, None], ~x.isnan().any(-1)
        if not bool(now.any()):
            raise ValueError(
                "x must have a sequence of two steps or more, as the transition is learned from "
                f"pairs of them: got {len(x)} of one step"
            )
        before, after = mean[:, :-1], mean[:, 1:]
        cross = _sum(now * after, before) + (now[..., None] * X.mT).sum((0, 1))
        square = _sum(now * before, before) + (now[..., None] * S[:, :-1]).sum((0, 1))
        A = torch.linalg.solve(square, cross.mT).mT
        z, rows = rows_of(mean, seen), rows_of(x, seen)
        z_mean, x_mean = z.mean(0), rows.mean(0)
        spread = (z - z_mean).mT @ (z - z_mean) + rows_of(S, seen).sum(0)
        C = torch.linalg.solve(spread, (z - z_mean).mT @ (rows - x_mean)).mT
        d, first = x_mean - C @ z_mean, mean[:, 0].mean(0)
        none = torch.empty(0, dtype=x.dtype)
        system = LinearSystem(first, none, A, none, C, d, none)
        found = {"transition": A, "weights": C, "mean": d, "initial_mean": first}
        for name, part in zip(self._covariances, PARTS.values(), strict=True):
            second = part.second(system, chain, x, None).sum(0)
            found |= from_covariance(name, second / part.steps(chain).sum())
        return found

    def em_step(self, parameters: Parameters, x: Any) -> tuple[Tensor, dict[str, Tensor]]:
        found = smoothed(self.system(parameters), factor(parameters, "transition"), x)
        return found.innovations.log_likelihood.mean(), self.m_step(parameters, _chain(found), x)


def _chain(found: Smoothed) -> GaussianChain:
    return GaussianChain(found.mean, found.gains, found.scale, found.innovations.observed)


def _sum(left: Tensor, right: Tensor) -> Tensor:
    """Σ_n Σ_t a_nt b_ntᵀ."""
    return left.flatten(0, 1).mT @ right.flatten(0, 1)
