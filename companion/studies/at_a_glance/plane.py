"""ELBO and entropy sum over a plane through parameter space, and gradient ascent inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.fit import Trace, maximise
from companion.fit.records import Recorder
from companion.support import tree
from companion.theory.elbo import elbo, entropy_sum
from companion.theory.identity import Verification, full_direction
from companion.theory.model import Model
from companion.theory.objective import Problem

__all__ = ["Path", "Plane", "Surfaces"]

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Points evaluated at once: keeps an (N, P) table for each of them within a few megabytes.
_CHUNK = 128


@dataclass(frozen=True)
class Surfaces:
    """ELBO, entropy sum and slope ⟨∇ELBO, v⟩ at points (a, b) of a plane; arrays of one shape.

    ``gradient`` has one more axis of length 2: the derivatives of the ELBO by a and by b.
    """

    a: Array
    b: Array
    elbo: Array
    entropy_sum: Array
    slope: Array
    gradient: Array

    @property
    def gap(self) -> Array:
        """ELBO − entropy sum: the vertical distance between the two surfaces."""
        return self.elbo - self.entropy_sum

    @property
    def relative_residual(self) -> Array:
        """|gap − slope| / (1 + |ELBO|): the error of the identity at every point."""
        return np.abs(self.gap - self.slope) / (1 + np.abs(self.elbo))


@dataclass(frozen=True)
class Path:
    """Gradient ascent in a plane: logged points (a, b), gradients (both ``(K, 2)``), the trace."""

    points: Array
    gradients: Array
    trace: Trace


@dataclass(frozen=True)
class Plane:
    """All parameters origin + a · first + b · second, with the exact posterior as q everywhere.

    ``first`` and ``second`` map names of parameters to directions; names left out do not move.

    Raises
    ------
    ValueError
        For invalid data or parameters, a direction with an unknown name or another shape, or two
        directions that are parallel or zero.

    >>> from companion import models
    >>> x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> model = models.PPCA(observed=2, latent=1)
    >>> origin = model.stationary_point(x, [])
    >>> up = torch.ones(2, 1, dtype=torch.float64)
    >>> one = torch.ones_like(up[0, 0])
    >>> plane = Plane(model, x, origin, {"weights": up}, {"log_variance": one})
    >>> plane.evaluate([0.0, 1.0], 0.0).relative_residual.max() < 1e-12
    np.True_
    """

    model: Model
    x: Tensor
    origin: Mapping[str, Tensor]
    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.model.check(self.origin, self.x))
        for name in ("first", "second"):
            object.__setattr__(self, name, self._direction(name, getattr(self, name)))
        spanned = torch.stack([tree.flatten(self.first), tree.flatten(self.second)])
        if torch.linalg.matrix_rank(spanned) < 2:
            raise ValueError(
                "first and second must span a plane: found parallel or zero directions"
            )

    def _direction(self, name: str, direction: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for key, value in direction.items():
            if key not in self.origin or value.shape != self.origin[key].shape:
                shapes = {k: tuple(v.shape) for k, v in self.origin.items()}
                raise ValueError(
                    f"{name} must have parameters of the model as entries, with shapes {shapes}: "
                    f"got {key!r} of shape {tuple(value.shape)}"
                )
        return {k: direction.get(k, torch.zeros_like(v)) for k, v in self.origin.items()}

    def parameters(self, a: float | Tensor, b: float | Tensor) -> dict[str, Tensor]:
        """The model's parameters at the point (a, b)."""
        return tree.add(tree.add(self.origin, self.first, a), self.second, b)

    def _values(self, point: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = self.parameters(point[0], point[1])
        q = self.model.posterior(own, self.x)

        def objective(variables: Mapping[str, Tensor]) -> Tensor:
            moved, of_q = tree.split(variables)
            return elbo(self.model, moved, q.with_parameters(of_q), self.x)

        rises, value = torch.func.grad_and_value(objective)(tree.merge(own, q.parameters))
        slope = tree.inner(rises, full_direction(self.model, own, q))
        of_own, _ = tree.split(rises)
        gradient = torch.stack([tree.inner(of_own, self.first), tree.inner(of_own, self.second)])
        return value, entropy_sum(self.model, own, q, self.x).total, slope, gradient

    def evaluate(self, a: Any, b: Any) -> Surfaces:
        """ELBO, entropy sum, slope along v and gradient at the points (a, b).

        ``a`` and ``b`` are broadcast: a row ``(1, A)`` and a column ``(B, 1)`` give a grid
        ``(B, A)``. The slope is a derivative; it does not use the entropy sum.

        Raises
        ------
        ValueError
            If a coordinate is not finite.
        """
        across, up = torch.broadcast_tensors(
            torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
        )
        points = torch.stack([across.reshape(-1), up.reshape(-1)], 1)
        if not bool(torch.isfinite(points).all()):
            raise ValueError("a and b must be finite: found NaN or infinity")
        columns = torch.func.vmap(self._values, chunk_size=_CHUNK)(points)
        value, sums, slope = (column.reshape(across.shape).numpy() for column in columns[:3])
        gradient = columns[3].reshape(*across.shape, 2).numpy()
        return Surfaces(across.numpy(), up.numpy(), value, sums, slope, gradient)

    def ascend(
        self,
        a: float,
        b: float,
        *,
        steps: int = 200,
        rate: float = 0.3,
        log_every: int = 1,
        free: tuple[bool, bool] = (True, True),
    ) -> Path:
        """Gradient ascent of the ELBO inside the plane from (a, b), with steps ``rate`` · gradient.

        The gradient norm in the trace is that in *all* parameters, the path's own gradients are
        those in the plane.

        Parameters
        ----------
        a, b
            Where it begins.
        steps, rate
            How many steps of ``rate`` times the gradient.
        log_every
            The start, every so many steps and the last are logged.
        free
            Which of the two coordinates may move.

        Raises
        ------
        ValueError
            If steps, rate or log_every is not positive, or the ascent leaves the finite numbers
            because ``rate`` is too large.
        """
        start, mask = torch.tensor([a, b], dtype=torch.float64), torch.tensor(free)
        problem = Problem.of(self.model, self.origin, q=None, x=self.x)
        points: list[Tensor] = []

        def own(at: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return self.parameters(*torch.where(mask, at["point"], start))

        def verified(at: Mapping[str, Tensor]) -> Verification:
            points.append(at["point"])
            return problem.verify(own(at))

        log = Recorder(verified, log_every)
        settings: dict[str, Any] = {"rate": rate, "steps": steps, "halvings": 0, "log": log}
        maximise.ascent(lambda at: problem.value(own(at)), {"point": start}, **settings)
        trace, path = log.trace(), torch.stack(points)
        return Path(path.numpy(), self.evaluate(*path.T).gradient, trace)
