"""The sites of a Pyro program: log densities, entropies and slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from companion.support.tables import Cell, Record

__all__ = ["PyroVerification", "Site"]


@dataclass(frozen=True)
class Site:
    """One sample statement of the model: E_q log p, E_q of its entropy (relative to its base
    measure), E_q of its log base measure, and how fast E_q log p grows as it becomes colder."""

    name: str
    observed: bool
    log_density: float
    entropy: float
    base_measure: float
    slope: float
    scale: float
    enumerated: bool


@dataclass(frozen=True, repr=False)
class PyroVerification(Record):
    """What :func:`verify_pyro` found; all values in nats, for all the data that were given.

    ``posterior_entropy`` is −E_q log q of the guide's sample. ``estimators`` are the values of
    Pyro's losses at the seed, and ``matches`` those that the loss equals in value and gradient.
    """

    sites: tuple[Site, ...]
    posterior_entropy: float
    estimators: dict[str, float]
    matches: tuple[str, ...]
    notes: tuple[str, ...]
    tolerance: float

    columns = ("site", "kind", "log density", "entropy", "base measure", "slope")

    @property
    def elbo(self) -> float:
        """Σ E_q log p of the sites, each with its scale, plus the entropy of the guide."""
        return math.fsum(s.log_density for s in self.sites) + self.posterior_entropy

    @property
    def entropy_sum(self) -> float:
        """Entropy of the guide minus the entropies of all sites, plus their base measures."""
        return self.posterior_entropy + math.fsum(s.base_measure - s.entropy for s in self.sites)

    @property
    def gap(self) -> float:
        """ELBO − entropy sum."""
        return self.elbo - self.entropy_sum

    @property
    def slope(self) -> float:
        """dF/dt, all sites becoming colder together."""
        return math.fsum(s.slope for s in self.sites)

    @property
    def holds(self) -> bool:
        """Whether gap and slope agree up to round-off."""
        return abs(self.gap - self.slope) <= self.tolerance

    def rows(self) -> list[tuple[Cell, ...]]:
        """Sites, sums, estimators and notes."""
        rows: list[tuple[Cell, ...]] = [
            (
                s.name,
                "observed" if s.observed else "latent",
                s.log_density,
                s.entropy,
                s.base_measure,
                s.slope,
            )
            for s in self.sites
        ]
        blank = ("", "", "", "")
        rows.append(("entropy of the guide", self.posterior_entropy, *blank))
        rows.append(("ELBO", self.elbo, *blank))
        rows.append(("entropy sum", self.entropy_sum, *blank))
        rows.append(("gap − slope", self.gap - self.slope, *blank))
        rows += [(f"−{name}", -value, *blank) for name, value in self.estimators.items()]
        rows += [(f"the loss is {name}", "", *blank) for name in self.matches]
        return rows + [(note, "", *blank) for note in self.notes]
