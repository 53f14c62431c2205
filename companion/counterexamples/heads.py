"""Ways to let a decoder output a variance, and which of them can be tempered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from companion import tree
from companion.criterion import Criterion, check_criterion
from companion.families import DiagonalGaussian
from companion.families.discrete import softplus
from companion.gap import verify
from companion.model import Model, Parameters
from companion.variational import Variational

__all__ = ["HEADS", "beyond_gradient", "check_head", "nearest_direction"]

#: Variance from the linear head's output a and an extra learnable scale c, by what is written.
HEADS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exp(a)": lambda a, c: a.exp(),
    "exp(2a)": lambda a, c: (2 * a).exp(),
    "exp(−a)": lambda a, c: (-a).exp(),
    "exp(a), no bias": lambda a, c: a.exp(),
    "a²": lambda a, c: a * a,
    "(e^c softplus(a))²": lambda a, c: (c.exp() * softplus(a)) ** 2,
    "exp(c + 2 tanh a)": lambda a, c: (c + 2 * torch.tanh(a)).exp(),
    "η₂ = −exp(a), η₁ linear": lambda a, c: 0.5 * (-a).exp(),
    "softplus(a)": lambda a, c: softplus(a),
    "softplus(a)²": lambda a, c: softplus(a) ** 2,
    "1 + exp(a)": lambda a, c: 1 + a.exp(),
    "exp(2 tanh a)": lambda a, c: (2 * torch.tanh(a)).exp(),
    "exp(clamp(a, −1, 1))": lambda a, c: a.clamp(-1, 1).exp(),
}


def check_head(
    name: str, seed: int = 0, latent: int = 2, hidden: int = 4, observed: int = 2, nodes: int = 200
) -> Criterion:
    """The parameterization criterion for a random tanh decoder with the head ``name`` of HEADS.

    The mean has a linear head of its own; all weights may move. For "η₂ = −exp(a), η₁ linear" that
    head gives the first natural parameter instead of the mean.

    Raises
    ------
    ValueError
        For a name that is not in HEADS.

    >>> check_head("exp(a)").verdict, check_head("softplus(a)").verdict
    ('pass', 'fail')
    """
    if name not in HEADS:
        raise ValueError(f"name must be one of {list(HEADS)}: got {name!r}")
    generator = torch.Generator().manual_seed(seed)
    shapes = {"W1": (hidden, latent), "b1": (hidden,), "mean.W": (observed, hidden)}
    shapes |= {"mean.b": (observed,), "head.W": (observed, hidden)}
    if name != "exp(a), no bias":
        shapes |= {"head.b": (observed,)}
    if "c" in name.replace("clamp", ""):
        shapes |= {"c": ()}
    parameters = {
        key: torch.randn(shape, dtype=torch.float64, generator=generator)
        / math.sqrt(shape[1] if len(shape) == 2 else 1)
        for key, shape in shapes.items()
    }
    family, none = DiagonalGaussian(), torch.zeros((), dtype=torch.float64)

    def natural(p: Mapping[str, Tensor], z: Tensor) -> Tensor:
        units = torch.tanh(z @ p["W1"].T + p["b1"])
        first = units @ p["mean.W"].T + p["mean.b"]
        output = units @ p["head.W"].T + p.get("head.b", none)
        variance = HEADS[name](output, p.get("c", none))
        mean = first * variance if name.startswith("η") else first
        return family.natural_parameters(mean, variance)

    z = torch.randn(nodes, latent, dtype=torch.float64, generator=generator)
    return check_criterion(natural, parameters, z)


def nearest_direction(
    model: Model, parameters: Parameters, q: Variational, nodes: int = 200, seed: int = 0
) -> dict[str, Tensor]:
    """The direction that comes nearest to v, for a model whose observable factor may have none.

    For the observable factor the least-squares solution β of η(z) = ∂η(z)/∂θᵀ β, on at least
    ``nodes`` points z (more if there are many parameters) drawn from those of q; for the prior,
    which has to be N(0, I), the rescaling of q and its absorption as in v. Given to ``verify`` as
    ``direction``: if the criterion holds, gap and slope agree to round-off; otherwise they differ
    by a part of the gap that this gradient does not account for. Where the gradient vanishes, that
    part is the whole gap.

    Raises
    ------
    ValueError
        If the model does not have a fixed continuous prior whose rescaling it can absorb.

    Source: this companion.

    >>> from companion import datasets, models, verify
    >>> draws, x = torch.Generator().manual_seed(0), datasets.pca_ring(50)
    >>> vae, encoder = models.GaussianVAE(10, 2, (4,), noise="head"), models.Encoder(10, 2)
    >>> parameters, q = vae.initial_parameters(draws), encoder.initial_parameters(draws)
    >>> q = encoder.posterior(q, x)
    >>> v = nearest_direction(vae, parameters, q)
    >>> verify(vae, parameters, q, x, direction=v).relative_residual < 1e-12
    True
    """
    rate = torch.tensor(model.latent_rescaling, dtype=torch.float64)
    absorbed = model.absorption(parameters, rate)
    if float(rate) == 0 or absorbed is None:
        raise ValueError(
            "model must have a fixed prior N(0, I) and absorb its rescaling in the decoder: "
            f"got {model!r}"
        )
    z = q.nodes().z.detach()
    z = z.reshape(-1, z.shape[-1])
    natural = model.factors[-1].natural
    # Half of the points give the equations, L each: take twice as many as there are unknowns.
    unknowns, equations = len(tree.flatten(parameters)), natural(parameters, z[:1]).shape[-1]
    count = max(nodes, 4 * unknowns // equations)
    drawn = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))[:count]
    found = check_criterion(natural, parameters, z[drawn]).direction
    own = {
        name: found[name] + absorbed.get(name, torch.zeros_like(value))
        for name, value in parameters.items()
    }
    return tree.merge(own, q.rescaling(model.latent_rescaling))


def beyond_gradient(model: Model, parameters: Parameters, q: Variational, x: Tensor) -> float:
    """|gap − ⟨∇ELBO, v̂⟩| in nats, v̂ the :func:`nearest_direction`: zero if the criterion holds.

    It is what remains of the gap where the gradient vanishes.

    Raises
    ------
    ValueError
        As :func:`nearest_direction` and ``verify``.
    """
    nearest = nearest_direction(model, parameters, q)
    return verify(model, parameters, q, x, direction=nearest).residual
