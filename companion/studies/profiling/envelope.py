"""Gradient and curvature of the ELBO with its best variances inserted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.support import tree
from companion.support.checks import as_names
from companion.support.doors import door
from companion.support.tables import Record
from companion.theory.model import Parameters
from companion.theory.objective import Problem
from companion.theory.variational import Amortized, Nodes, cubature
from companion.training import batch_elbo
from companion.training.elbo import with_best_variances

__all__ = ["ProfiledCurvature", "envelope_gradients", "profiled_curvature"]

_SCALES = {"noise": "log_variance", "prior": "prior_log_variance"}


@door
def envelope_gradients(
    model: GaussianVAE,
    parameters: Parameters,
    q: Amortized,
    x: Tensor,
    profile: tuple[str, ...] = ("noise", "prior"),
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """∇G(ω), and the part ∂F/∂ω of the gradient of the ELBO at the best variances.

    The first differentiates through the closed forms, the second holds the variances; by the
    envelope theorem they are equal. Encoder parameters are named ``q.<name>``, as everywhere.

    Parameters
    ----------
    model, parameters, q, x
        A VAE with variances of its own, and an encoder's q.
    profile
        The variances that are inserted: of "noise" and "prior".

    Raises
    ------
    ValueError
        For invalid data or parameters, or if ``profile`` names a variance that the model does not
        learn as a parameter of its own.

    Source: this companion; the envelope theorem is classical.
    """
    problem, inserted = _both(model, parameters, q, x, profile)
    return torch.func.grad(inserted)(problem.start), torch.func.grad(problem.value)(problem.start)


@dataclass(frozen=True, repr=False)
class ProfiledCurvature(Record):
    """Eigenvalues, rising, of −∇²F (``plain``) and of −∇²G (``profiled``) at one point.

    ``residual`` compares −∇²G, by automatic differentiation, with the Schur complement of the
    variances in −∇²F: the largest entry of the difference over the largest eigenvalue.
    """

    plain: Tensor
    profiled: Tensor
    residual: float

    @property
    def conditions(self) -> tuple[float, float]:
        """Largest over smallest eigenvalue of each, those of flat directions left out."""
        return _condition(self.plain), _condition(self.profiled)

    def rows(self) -> list[tuple[str, float]]:
        """Both conditions, and how far the two ways to −∇²G are apart."""
        plain, profiled = self.conditions
        return [
            ("condition of −∇²F", plain),
            ("condition of −∇²G", profiled),
            ("residual of the Schur complement", self.residual),
        ]


@door
def profiled_curvature(
    model: GaussianVAE,
    parameters: Parameters,
    q: Amortized,
    x: Tensor,
    profile: tuple[str, ...] = ("noise", "prior"),
) -> ProfiledCurvature:
    """Curvature of the ELBO with and without its best variances inserted, at those variances.

    −∇²G = A − B C⁻¹ Bᵀ, the Schur complement of the variances' own block C in −∇²F = (A B; Bᵀ C).
    For up to about a thousand parameters.

    Parameters
    ----------
    model, parameters, q, x, profile
        As for :func:`envelope_gradients`.

    Raises
    ------
    ValueError
        As :func:`envelope_gradients`.

    Source: this companion.
    """
    problem, inserted = _both(model, parameters, q, x, profile)
    full = _curvature(problem.value, problem.start | problem.fixed)
    direct = _curvature(inserted, problem.start)
    size = len(direct)
    cross = full[:size, size:]
    schur = full[:size, :size] - cross @ torch.linalg.solve(full[size:, size:], cross.T)
    eigenvalues = torch.linalg.eigvalsh(full)
    residual = float((schur - direct).abs().max() / eigenvalues.abs().max())
    return ProfiledCurvature(eigenvalues, torch.linalg.eigvalsh(direct), residual)


def profiled_names(parameters: Parameters, profile: tuple[str, ...]) -> list[str]:
    """The parameters that hold the variances that ``profile`` names."""
    chosen = [_SCALES.get(scale, "") for scale in as_names(profile)]
    if not chosen or any(name not in parameters for name in chosen):
        learned = [scale for scale, name in _SCALES.items() if name in parameters]
        raise ValueError(f"profile must name variances among {learned}: got {profile!r}")
    return chosen


def nodes_of(q: Amortized) -> Nodes:
    """The rule of q, or, where it has none, the cubature that is exact for a linear decoder."""
    return cubature(q.encoder.latent) if q.rule is None else q.rule


def _both(
    model: GaussianVAE, parameters: Parameters, q: Amortized, x: Tensor, profile: tuple[str, ...]
) -> tuple[Problem, Callable[[Mapping[str, Tensor]], Tensor]]:
    """The ELBO with the best variances held, and with them inserted anew for other variables."""
    names = profiled_names(parameters, profile)
    best = with_best_variances(model, parameters, q, x, profile)
    problem = Problem.of(model, best, q=q, x=x, fixed=names)

    def inserted(variables: Mapping[str, Tensor]) -> Tensor:
        own, phi = tree.split(problem.fixed | dict(variables))
        return batch_elbo(model, own, q.with_parameters(phi), problem.x, profile=profile)

    return problem, inserted


def _curvature(
    objective: Callable[[Mapping[str, Tensor]], Tensor], at: Mapping[str, Tensor]
) -> Tensor:
    """−∇² of a function of named tensors, as one symmetric matrix."""
    hessian = -torch.func.hessian(lambda v: objective(tree.unflatten(v, at)))(tree.flatten(at))
    return (hessian + hessian.T) / 2


def _condition(eigenvalues: Tensor) -> float:
    curved = eigenvalues[eigenvalues.abs() > 1e-9 * eigenvalues.abs().max()]
    return float(curved.max() / curved.min())
