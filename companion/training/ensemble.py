"""What the runs of all seeds had learned at every logged step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from companion.fit.records import Trace
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.support.tables import Cell, Record
from companion.theory.identity import verify
from companion.theory.variational import Amortized, Nodes
from companion.training.elbo import with_best_variances

__all__ = ["Ensemble"]


@dataclass(frozen=True, repr=False)
class Ensemble(Record):
    """The runs of :func:`train_vae`: what each seed had learned at every logged step.

    ``steps`` are the logged steps; :attr:`traces` verifies each of them, in float64 on all data.
    Runs are counted as ``seeds`` is, logged steps as ``steps`` is; both from the end if negative.
    """

    model: GaussianVAE
    encoder: Encoder
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    snapshots: tuple[dict[str, Tensor], ...]
    x: Tensor
    rules: tuple[Nodes, ...]

    columns = ("seed", *Trace.columns)

    def rows(self) -> list[tuple[Cell, ...]]:
        """Seed, and the last row of its trace."""
        return [(s, *t.rows()[-1]) for s, t in zip(self.seeds, self.traces, strict=True)]

    def data(self, run: int) -> Tensor:
        """The data of one run, ``(N, D)``."""
        return self.x if self.x.dim() == 2 else self.x[run]

    def parameters(self, run: int, logged: int = -1) -> dict[str, Tensor]:
        """The model's parameters in one run at one logged step."""
        return self._part("p.", run, logged)

    def encoder_parameters(self, run: int, logged: int = -1) -> dict[str, Tensor]:
        """The encoder's parameters in one run at one logged step."""
        return self._part("q.", run, logged)

    def q(self, run: int, logged: int = -1) -> Amortized:
        """q(z | x_n) for all data of one run at one logged step, with its frozen nodes."""
        phi = self.encoder_parameters(run, logged)
        return self.encoder.posterior(phi, self.data(run), self.rules[run])

    @cached_property
    def traces(self) -> tuple[Trace, ...]:
        """One trace per seed."""
        return tuple(self._trace(run) for run in range(len(self.seeds)))

    def column(self, name: str) -> Tensor:
        """One number of every run at every logged step, ``(S, T)``; as in ``fit.Trace.column``.

        Raises
        ------
        ValueError
            If a :class:`companion.Verification` has no such number.
        """
        return torch.stack([torch.from_numpy(trace.column(name)) for trace in self.traces])

    def profiled(self, scales: tuple[str, ...]) -> Ensemble:
        """The same runs with the variances that ``scales`` names at their best values, everywhere.

        Best for all data under the frozen nodes, given all other parameters: then the part of the
        gap that belongs to these variances is zero at every logged step.
        """
        snapshots = []
        for t, values in enumerate(self.snapshots):
            best = [
                with_best_variances(
                    self.model, self.parameters(s, t), self.q(s, t), self.data(s), scales
                )
                for s in range(len(self.seeds))
            ]
            own = {f"p.{name}": torch.stack([one[name] for one in best]) for name in best[0]}
            snapshots.append(values | own)
        return replace(self, snapshots=tuple(snapshots))

    def _part(self, prefix: str, run: int, logged: int) -> dict[str, Tensor]:
        held = self.snapshots[logged].items()
        return {k.removeprefix(prefix): v[run] for k, v in held if k.startswith(prefix)}

    def _trace(self, run: int) -> Trace:
        reports = (
            verify(self.model, self.parameters(run, t), self.q(run, t), self.data(run))
            for t in range(len(self.steps))
        )
        return Trace(self.steps, tuple(reports))
