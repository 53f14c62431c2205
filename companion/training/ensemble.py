"""What the runs of all seeds had learned at every logged step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from companion.fit.records import Trace
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.support.doors import Guarded
from companion.support.tables import Cell, Record
from companion.theory.identity import verify
from companion.theory.variational import Amortized, Nodes
from companion.training.elbo import with_best_variances
from companion.training.plan import SCALES

__all__ = ["Ensemble"]


@dataclass(frozen=True, repr=False)
class Ensemble(Guarded, Record):
    """The runs of :func:`train_vae`: what each seed had learned at every logged step.

    ``steps`` are the logged steps; :attr:`traces` verifies each of them, in float64 on all data.
    Runs are counted as ``seeds`` is, logged steps as ``steps`` is; both from the end if negative.

    >>> from companion import datasets, models, training
    >>> vae, encoder = models.GaussianVAE(10, 2), models.Encoder(10, 2)
    >>> plan = training.Plan(steps=20, log_every=10)
    >>> runs = training.train_vae(vae, encoder, datasets.pca(50), range(2), plan)
    >>> runs.steps, runs.column("gap").shape
    ((0, 10, 20), torch.Size([2, 3]))
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

    def admit(self, method: str, given: dict[str, Any]) -> None:
        """Refuse runs and logged steps that there are not."""
        for name, count in (("run", len(self.seeds)), ("logged", len(self.steps))):
            index = given.get(name, 0)
            if isinstance(index, bool) or not isinstance(index, int) or not -count <= index < count:
                raise ValueError(
                    f"{name} must be a whole number from {-count} to {count - 1}: got {index!r}"
                )
        scales = tuple(given.get("scales", ()))
        if not set(scales) <= set(SCALES):
            raise ValueError(f"scales must name some of {', '.join(SCALES)}: got {scales!r}")

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

    def on(self, device: torch.device) -> Ensemble:
        """The same runs, whose :attr:`traces` are computed on that device, in float64 as ever."""
        rules = tuple(Nodes(*(part.to(device) for part in rule)) for rule in self.rules)
        return replace(self, x=self.x.to(device), rules=rules)

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

    def profiled(self, scales: Sequence[str]) -> Ensemble:
        """The same runs with the variances that ``scales`` names at their best values, everywhere.

        Best for all data under the frozen nodes, given all other parameters: then the part of the
        gap that belongs to these variances is zero at every logged step.
        """
        snapshots = []
        for t, values in enumerate(self.snapshots):
            best = [
                with_best_variances(
                    self.model, self.parameters(s, t), self.q(s, t), self.data(s), tuple(scales)
                )
                for s in range(len(self.seeds))
            ]
            own = {f"p.{name}": torch.stack([one[name] for one in best]) for name in best[0]}
            snapshots.append(values | own)
        return replace(self, snapshots=tuple(snapshots))

    def _part(self, prefix: str, run: int, logged: int) -> dict[str, Tensor]:
        held, place = self.snapshots[logged].items(), self.x.device
        return {k.removeprefix(prefix): v[run].to(place) for k, v in held if k.startswith(prefix)}

    def _trace(self, run: int) -> Trace:
        # What is made on the way, such as the width of a prior, is made there too. Where it is made
        # there anyway we don't ask: each operation would go through Python.
        with nullcontext() if self.x.device == torch.get_default_device() else self.x.device:
            reports = tuple(
                verify(self.model, self.parameters(run, t), self.q(run, t), self.data(run))
                for t in range(len(self.steps))
            )
        return Trace(self.steps, reports)
