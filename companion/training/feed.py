"""What a training step sees: data and nodes for every seed."""

from __future__ import annotations

import torch
from torch import Tensor

from companion.theory.variational import Nodes
from companion.training.plan import Plan

__all__ = ["Feed"]


class Feed:
    """Batches and nodes, one of each per seed and step, drawn with the seed's own generator."""

    def __init__(
        self,
        data: Tensor,
        rules: tuple[Nodes, ...],
        generators: list[torch.Generator],
        plan: Plan,
        latent: int,
    ) -> None:
        self.generators, self.plan = generators, plan
        count = len(generators)
        self.x = data if data.dim() == 3 else data.expand(count, *data.shape)
        self.rules = torch.stack([rule.z for rule in rules]).to(data)
        self.points = data.shape[-2]
        self.size = min(plan.batch_size or self.points, self.points)
        self.orders = torch.empty(count, 0, dtype=torch.int64)
        draws = plan.samples if plan.samples is not None else len(rules[0].weights)
        if plan.draws == "device":
            where, room = data.device, data.new_empty(0)
            self.drawn_by = [
                torch.Generator(where).manual_seed(g.initial_seed()) for g in generators
            ]
        else:  # in float64 on the CPU, so that precision and device do not change the noise
            self.drawn_by, room = generators, torch.empty(0, dtype=torch.float64)
        self.noise = room.new_empty(count, self.size, plan.samples or 0, latent)
        self.weights = torch.full((draws,), 1 / draws, dtype=torch.float64).to(data)

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """Data ``(S, B, D)``, points ``(S, B, P, H)`` or ``(S, 1, P, H)``, weights ``(P,)``."""
        index = self._batch()
        runs = torch.arange(len(self.generators), device=self.x.device)[:, None]
        x = self.x if index is None else self.x[runs, index]
        if self.plan.samples is None:
            z = self.rules if self.rules.dim() == 4 else self.rules[:, None]
            return x, z[runs, index] if index is not None and z.shape[1] > 1 else z, self.weights
        for own, draws in zip(self.noise.unbind(), self.drawn_by, strict=True):
            own.normal_(generator=draws)
        return x, self.noise.to(x, copy=True), self.weights

    def _batch(self) -> Tensor | None:
        """The rows of this step, ``(S, B)``: a new order in every pass through the data."""
        if self.size == self.points:
            return None
        if self.orders.shape[1] < self.size:
            orders = [torch.randperm(self.points, generator=g) for g in self.generators]
            self.orders = torch.stack(orders).to(self.x.device)
        index, self.orders = self.orders[:, : self.size], self.orders[:, self.size :]
        return index
