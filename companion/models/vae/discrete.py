"""Variational autoencoders for discrete data: binary pixels, and categorical variables."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from companion.families import Bernoulli, CategoricalProduct, ExponentialFamily
from companion.models.vae.networks import Decoder
from companion.support.checks import positive_integer
from companion.theory.model import Factor, Parameters

__all__ = ["BernoulliVAE", "CategoricalVAE"]


class DiscreteVAE(Decoder):
    """z ~ N(0, I) or N(0, diag e^λ); logits of x | z from tanh layers and a linear last layer.

    Direction v: the weights and biases of the last layer, times +1 (a step of the inverse
    temperature of p(x|z)); for the fixed prior −1/2 of the weights that read z, with q rescaled at
    rate 1/2; for the learnable prior −1 on its log-variances instead. Without hidden layers the
    last layer reads z, and its weights get +1 − 1/2.
    """

    @property
    @abstractmethod
    def family(self) -> ExponentialFamily:
        """The family of p(x|z), whose natural parameters are logits."""

    @property
    def heads(self) -> tuple[str, ...]:
        return ("logits",)

    def logits(self, parameters: Parameters, z: Tensor) -> Tensor:
        """Natural parameters of x | z, ``(..., H)`` → ``(..., D)``."""
        return self.outputs(parameters, z)[0]

    def decode(self, parameters: Parameters, z: Tensor) -> Tensor:
        """E[x | z], the probabilities of ones, ``(..., H)`` → ``(..., D)``."""
        return self.family.mean_parameters(self.logits(parameters, z))

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.prior, Factor("observable", self.family, self.logits)

    def observable_direction(self, parameters: Parameters) -> dict[str, Tensor]:
        return self.tempered(parameters, "logits")


@dataclass(frozen=True)
class BernoulliVAE(DiscreteVAE):
    """z ~ N(0, I) or N(0, diag e^λ), x_d | z ~ Bern(σ(a_d(z))) with a tanh network a.

    Its parameters are ``hidden0``, ``hidden1``, …, ``logits``, each with ``.weights`` and
    ``.bias``; with ``learnable_prior=True`` also ``prior_log_variance`` λ ``(H,)``.

    Direction v: +1 times the last layer; for the fixed prior also −1/2 of the weights that read z,
    with q rescaled at rate 1/2; for the learnable prior −1 on its log-variances.
    Entropy sum: mean H[q] − H[p(z)] − E_q̄ Σ_d H[Bern(σ(a_d(z)))].

    Parameters
    ----------
    observed, latent
        D and H.
    hidden
        Sizes of the decoder's hidden layers, ``()`` for linear logits.
    learnable_prior
        Whether the prior's variances are learned, or 1.

    Source: Kingma & Welling (2014) for the model; the direction is this companion's, for the
    theorem of Lücke & Warnken (arXiv:2209.03077).

    >>> import torch
    >>> vae = BernoulliVAE(observed=4, latent=2, hidden=(8,))
    >>> parameters = vae.initial_parameters(torch.Generator().manual_seed(0))
    >>> vae.decode(parameters, torch.zeros(3, 2, dtype=torch.float64)).shape
    torch.Size([3, 4])
    """

    observed: int
    latent: int
    hidden: tuple[int, ...] = ()
    learnable_prior: bool = False

    @property
    def family(self) -> ExponentialFamily:
        return Bernoulli()


@dataclass(frozen=True)
class CategoricalVAE(DiscreteVAE):
    """z ~ N(0, I) or N(0, diag e^λ), each x_d | z one of C categories with logits a_d(z).

    Data are the one-hot vectors of the variables in a row, ``(N, variables * categories)``;
    ``observed`` is that number of columns. Its parameters and the direction v are as for
    :class:`BernoulliVAE`.

    Parameters
    ----------
    variables, categories
        The number of categorical variables, and C, that of the categories of each.
    latent, hidden, learnable_prior
        As for :class:`BernoulliVAE`.

    >>> import torch
    >>> vae = CategoricalVAE(variables=2, categories=3, latent=1)
    >>> parameters = vae.initial_parameters(torch.Generator().manual_seed(0))
    >>> vae.decode(parameters, torch.zeros(1, 1, dtype=torch.float64)).sum()   # one per variable
    tensor(2.0000, dtype=torch.float64)
    """

    variables: int
    categories: int
    latent: int
    hidden: tuple[int, ...] = ()
    learnable_prior: bool = False
    observed: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        positive_integer(self.variables, "variables")
        positive_integer(self.categories, "categories")
        object.__setattr__(self, "observed", self.variables * self.categories)
        super().__post_init__()

    @property
    def family(self) -> ExponentialFamily:
        return CategoricalProduct(self.variables)
