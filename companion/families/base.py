"""What a family of distributions is, and what an exponential family is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.families.checked import CheckedFamily
from companion.support.checks import all_finite, positive_integer

__all__ = ["Average", "Blocks", "ExponentialFamily", "Family"]

#: One tensor for each of a family's coordinates, in their order.
Blocks = tuple[Tensor, ...]
#: Maps values of a function of the data, ``(N, K)``, to weighted averages of them, ``(C, K)``.
Average = Callable[[Tensor], Tensor]


class Family(CheckedFamily):
    """A family of densities p(x | η), of which models are made: density, entropy, draws, support.

    Shapes: a value ``x`` is ``(..., D)``; parameters η are ``(..., L)`` and broadcast against it;
    every method that returns a density or an entropy returns ``(...)``, in nats. For an
    :class:`ExponentialFamily` η are the natural parameters; for any other family they are those
    that it documents.

    A mixture learns unconstrained ``coordinates`` θ of the family, each ``(..., D)``:
    ``from_coordinates`` gives η(θ), ``direction`` the block of v, ``estimate`` a start and, where
    it has a closed form, ``maximum_likelihood`` the M-step of EM.
    """

    #: What values must be, in words that follow "must be": those that ``support`` allows.
    requirement: str = "finite"
    #: Whether columns of x are independent, each with its own column of every coordinate.
    independent_columns: bool = False
    #: Names of the coordinates θ; a family that names none has no mixtures.
    coordinates: tuple[str, ...] = ()
    #: The coordinates and their block of v as tables show them: "names; v".
    in_words: str = ""
    #: Coordinates in which the density has kinks, where the ELBO has no gradient.
    kinks: tuple[str, ...] = ()

    @property
    def constant_base_measure(self) -> bool:
        """Whether h ≡ 1: no :meth:`log_base_measure` is given. If not, H̃ is not the entropy."""
        return type(self).log_base_measure is Family.log_base_measure

    @abstractmethod
    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x | η), ``(..., D)`` and ``(..., L)`` → ``(...)``."""

    @abstractmethod
    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Entropy relative to the base measure, −E[log p/h], ``(..., L)`` → ``(...)``."""

    @abstractmethod
    def sample(self, natural: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one value per row of parameters, ``(..., L)`` → ``(..., D)``."""

    def support(self, x: Tensor) -> Tensor:
        """Which finite values are allowed: truth values of any shape, all true if ``x`` is."""
        return torch.ones((), dtype=torch.bool)

    def invalid(self, x: Tensor) -> str | None:
        """Say in a clause why ``x`` is outside the support, or return ``None``."""
        if all_finite(x) and bool(self.support(x).all()):
            return None
        found = f"found values in [{float(x.min()):g}, {float(x.max()):g}]"
        return f"must be {self.requirement} for {self!r}: {found}"

    def log_base_measure(self, x: Tensor) -> Tensor:
        """log h(x), ``(..., D)`` → ``(...)``; zero for a constant base measure."""
        return torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device)

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x_n | η_p) for every pair, broadcastable to ``(N, P)``.

        ``x`` is ``(N, D)``; η is ``(L,)`` (the same for all), ``(P, L)`` or ``(N, P, L)``.
        """
        return self.log_prob(x[:, None, :], natural)

    def entropy(self, natural: Tensor) -> Tensor:
        """Entropy H[p] = −E[log p]; equal to the pseudo-entropy when h is constant.

        Raises
        ------
        ValueError
            If the base measure is not constant and the family gives no closed form.
        """
        if not self.constant_base_measure:
            raise ValueError(
                f"{type(self).__name__} has a base measure that is not constant and no closed-form "
                "entropy: use pseudo_entropy and log_base_measure"
            )
        return self.pseudo_entropy(natural)

    def log_tempered_normaliser(self, natural: Tensor, t: Tensor) -> Tensor:
        """log Z_t = log ∫ p(x | η)ᵗ h(x)¹⁻ᵗ dx, ``(..., L)`` → ``(...)``; finite where Z_t is.

        Raises
        ------
        ValueError
            If the family is not exponential and gives no closed form.
        """
        raise ValueError(
            f"{type(self).__name__} is not an exponential family and not known to be closed under "
            "tempering"
        )

    def coordinate_size(self, observed: int) -> int:
        """Entries of each coordinate for values with ``observed`` columns D: as many.

        Raises
        ------
        ValueError
            If values can't have this number of columns.
        """
        return positive_integer(observed, "observed")

    def from_coordinates(self, *theta: Any, **named: Any) -> Tensor:
        """Parameters η(θ), ``(..., L)``, from one argument for each coordinate."""
        raise NotImplementedError

    def direction(self, *theta: Any, **named: Any) -> Blocks:
        """The block of v on each coordinate, with log(p/h) + H̃ = ⟨∇_θ log p, v⟩ for all x.

        For an exponential family this means η = (∂η/∂θᵀ) v.
        """
        raise NotImplementedError

    @property
    def has_m_step(self) -> bool:
        """Whether the family gives :meth:`maximum_likelihood`."""
        return type(self).maximum_likelihood is not Family.maximum_likelihood

    def maximum_likelihood(self, x: Tensor, average: Average) -> Blocks:
        """Coordinates that maximise the average of log p(x | θ), which is the M-step of EM.

        ``x`` is ``(N, D)``; ``average`` maps a function of it to weighted averages, one row for
        each set of weights: so that the coordinates are ``(C, D)`` for C components.

        Raises
        ------
        ValueError
            If the family gives no closed form.
        """
        raise ValueError(
            f"{type(self).__name__} has no closed-form M-step: learn with fit.lbfgs and fit.newton "
            "from any start, such as initial_parameters"
        )

    def estimate(self, x: Tensor, average: Average) -> Blocks:
        """Coordinates to start learning from: :meth:`maximum_likelihood`, or something rougher.

        Raises
        ------
        ValueError
            If the family gives neither.
        """
        return self.maximum_likelihood(x, average)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ExponentialFamily(Family):
    """A family of densities p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η)).

    A value ``x`` is ``(..., D)``; natural parameters η and statistics T(x) are ``(..., L)``.

    A subclass gives A and, if they are not x and 1, T and h. A constant base measure is written
    into A, so that h ≡ 1 and pseudo-entropy and entropy coincide; for η outside of its domain, A is
    not finite. Coordinates θ, unless the subclass gives others and their v, are the natural
    parameters themselves, with v = θ.

    Source: Lücke & Warnken (arXiv:2209.03077), definition of the class of models; Wainwright &
    Jordan (2008) for the general theory.

    A family of one's own, p(x_d) ∝ e^{η_d x_d} on x_d ∈ {−1, 0, 1}:

    >>> class Sign(ExponentialFamily):
    ...     def log_partition(self, natural):
    ...         return torch.log1p(2 * natural.cosh()).sum(-1)
    ...     def sample(self, natural, generator=None):
    ...         values = torch.tensor([-1.0, 0.0, 1.0])
    ...         weights = torch.exp(natural[..., None] * values)
    ...         return values[torch.multinomial(weights, 1, generator=generator)[..., 0]]
    >>> Sign().entropy(torch.zeros(1)).exp()     # three values, equally probable
    tensor(3., dtype=torch.float64)
    >>> from companion.models import FamilyMixture
    >>> FamilyMixture(Sign(), observed=5, components=2).shapes
    {'prior_logits': (2,), 'natural': (2, 5)}
    """

    coordinates: tuple[str, ...] = ("natural",)
    in_words = "natural η; η"

    def statistics(self, x: Tensor) -> Tensor:
        """Sufficient statistics T(x), ``(..., D)`` → ``(..., L)``; x itself unless overridden."""
        return x

    @abstractmethod
    def log_partition(self, natural: Tensor) -> Tensor:
        """Log-partition A(η), ``(..., L)`` → ``(...)``."""

    def mean_parameters(self, natural: Tensor) -> Tensor:
        """E[T(x)] = ∇A(η), by differentiating the log-partition; ``(..., L)`` → ``(..., L)``."""
        return torch.func.grad(lambda eta: self.log_partition(eta).sum())(natural)

    def log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        """log p(x | η) = ⟨η, T(x)⟩ − A(η) + log h(x)."""
        inner = (natural * self.statistics(x)).sum(-1)
        return inner - self.log_partition(natural) + self.log_base_measure(x)

    def pairwise_log_prob(self, x: Tensor, natural: Tensor) -> Tensor:
        # One matrix product in place of an array of size N x P x L.
        statistics = self.statistics(x)
        if natural.dim() == 3:
            inner = (natural @ statistics[:, :, None])[..., 0]
        else:
            inner = statistics @ torch.atleast_2d(natural).T
        return inner - self.log_partition(natural) + self.log_base_measure(x)[:, None]

    def pseudo_entropy(self, natural: Tensor) -> Tensor:
        """Entropy relative to the base measure, −E[log p/h] = A(η) − ⟨η, ∇A(η)⟩."""
        return self.log_partition(natural) - (natural * self.mean_parameters(natural)).sum(-1)

    def log_tempered_normaliser(self, natural: Tensor, t: Tensor) -> Tensor:
        """log Z_t = A(tη) − tA(η), since tempering multiplies η by t."""
        return self.log_partition(t * natural) - t * self.log_partition(natural)

    def coordinate_size(self, observed: int) -> int:
        observed = positive_integer(observed, "observed")
        if self.coordinates == ExponentialFamily.coordinates:
            return self._natural_size(observed)
        return observed

    def _natural_size(self, observed: int) -> int:
        return self.statistics(torch.ones(observed, dtype=torch.float64)).shape[-1]

    def from_coordinates(self, *theta: Any, **named: Any) -> Tensor:
        """The one coordinate, which is η itself."""
        (natural,) = (*theta, *named.values())
        return natural

    def direction(self, *theta: Any, **named: Any) -> Blocks:
        return (*theta, *named.values())
