"""Gradient and curvature of the ELBO with its best variances inserted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.support import tree
from companion.theory.elbo import elbo
from companion.theory.model import Parameters
from companion.theory.variational import Nodes
from companion.training import batch_elbo
from companion.training.elbo import with_best_variances

__all__ = ["ProfiledCurvature", "envelope_gradients", "profiled_curvature"]

_SCALES = {"noise": "log_variance", "prior": "prior_log_variance"}


def envelope_gradients(
    model: GaussianVAE,
    encoder: Encoder,
    parameters: Parameters,
    encoder_parameters: Parameters,
    x: Tensor,
    rule: Nodes,
    profile: tuple[str, ...] = ("noise", "prior"),
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """∇G(ω), and the part ∂F/∂ω of the gradient of the ELBO at the best variances.

    The first differentiates through the closed forms, the second holds the variances; by the
    envelope theorem they are equal. Encoder parameters are named ``q.<name>``, as everywhere.

    Raises
    ------
    ValueError
        If ``profile`` names a variance that the model does not learn as a parameter of its own.

    Source: this companion; the envelope theorem is classical.
    """
    free, scales = free_and_profiled(model, parameters, encoder_parameters, profile)
    through = torch.func.grad(_profiled(model, encoder, scales, x, rule, profile))(free)
    q = encoder.posterior(encoder_parameters, x, rule)
    best = with_best_variances(model, parameters, q, x, profile)
    held = {name: best[name].detach() for name in scales}

    def plain(variables: Mapping[str, Tensor]) -> Tensor:
        own, phi = tree.split(variables)
        return elbo(model, own | held, q.with_parameters(phi), x)

    return through, torch.func.grad(plain)(free)


@dataclass(frozen=True)
class ProfiledCurvature:
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


def profiled_curvature(
    model: GaussianVAE,
    encoder: Encoder,
    parameters: Parameters,
    encoder_parameters: Parameters,
    x: Tensor,
    rule: Nodes,
    profile: tuple[str, ...] = ("noise", "prior"),
) -> ProfiledCurvature:
    """Curvature of the ELBO with and without its best variances inserted, at those variances.

    −∇²G = A − B C⁻¹ Bᵀ, the Schur complement of the variances' own block C in −∇²F = (A B; Bᵀ C).
    For up to about a thousand parameters.

    Raises
    ------
    ValueError
        As :func:`envelope_gradients`.

    Source: this companion.
    """
    free, scales = free_and_profiled(model, parameters, encoder_parameters, profile)
    objective = _profiled(model, encoder, scales, x, rule, profile)
    q = encoder.posterior(encoder_parameters, x, rule)
    best = with_best_variances(model, parameters, q, x, profile)
    whole = free | {name: best[name].detach() for name in scales}
    size = len(tree.flatten(free))

    def plain(vector: Tensor) -> Tensor:
        own, phi = tree.split(tree.unflatten(vector, whole))
        return elbo(model, own, q.with_parameters(phi), x)

    def reduced(vector: Tensor) -> Tensor:
        return objective(tree.unflatten(vector, free))

    full = _symmetric(-torch.func.hessian(plain)(tree.flatten(whole)))
    direct = _symmetric(-torch.func.hessian(reduced)(tree.flatten(free)))
    cross = full[:size, size:]
    schur = full[:size, :size] - cross @ torch.linalg.solve(full[size:, size:], cross.T)
    eigenvalues = torch.linalg.eigvalsh(full)
    residual = float((schur - direct).abs().max() / eigenvalues.abs().max())
    return ProfiledCurvature(eigenvalues, torch.linalg.eigvalsh(direct), residual)


def free_and_profiled(
    model: GaussianVAE,
    parameters: Parameters,
    encoder_parameters: Parameters,
    profile: tuple[str, ...],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All variables but the profiled variances, and those."""
    names = [_SCALES.get(scale, "") for scale in profile]
    if not names or any(name not in parameters for name in names):
        learned = [scale for scale, name in _SCALES.items() if name in parameters]
        raise ValueError(f"profile must name variances among {learned}: got {profile!r}")
    variables = tree.merge(parameters, encoder_parameters)
    free = {k: v.detach() for k, v in variables.items() if k not in names}
    return free, {name: parameters[name].detach() for name in names}


def _profiled(
    model: GaussianVAE,
    encoder: Encoder,
    scales: Mapping[str, Tensor],
    x: Tensor,
    rule: Nodes,
    profile: tuple[str, ...],
) -> Any:
    def objective(variables: Mapping[str, Tensor]) -> Tensor:
        own, phi = tree.split(variables)
        q = encoder.posterior(phi, x, rule)
        return batch_elbo(model, own | dict(scales), q, x, profile=profile)

    return objective


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2


def _condition(eigenvalues: Tensor) -> float:
    curved = eigenvalues[eigenvalues.abs() > 1e-9 * eigenvalues.abs().max()]
    return float(curved.max() / curved.min())
