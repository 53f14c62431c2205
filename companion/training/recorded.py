"""Adam on a GPU, its step recorded once and replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from companion.theory.model import Parameters
from companion.training.feed import Feed
from companion.training.plan import Plan

__all__ = ["recorded_adam"]

#: Steps that are taken one kernel at a time before the recording, as CUDA asks.
WARM = 3


def recorded_adam(
    objective: Callable[[Parameters, Tensor, Tensor, Tensor], Tensor],
    feed: Feed,
    start: Mapping[str, Tensor],
    plan: Plan,
    log: Callable[[int, Mapping[str, Tensor]], bool],
) -> None:
    """As ``fit.maximise.adam``: the same steps, without the time that Python takes for each.

    A learning rate that falls is held in single precision.

    Parameters
    ----------
    objective
        Of variables, data, points and weights, the same operations in every step.
    feed
        What hands out data, points and weights.
    start
        Variables on a GPU.
    plan
        The number of steps and the learning rate.
    log
        Sees the variables at the start and after every step.
    """
    variables = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    leaves = list(variables.values())
    rate = torch.tensor(plan.learning_rate, device=leaves[0].device) if plan.decay else None
    optimizer = torch.optim.Adam(
        leaves,
        lr=plan.learning_rate if rate is None else rate,
        maximize=True,
        fused=True,
        capturable=True,
    )
    held, graph, side = None, torch.cuda.CUDAGraph(), torch.cuda.Stream()
    now = {name: value.detach() for name, value in variables.items()}
    log(0, now)
    for number in range(plan.steps):
        if rate is not None:
            rate.fill_(plan.learning_rate * 0.5 * (1 + math.cos(math.pi * number / plan.steps)))
        given = feed.next()
        held = held or tuple(part.clone() for part in given)
        for own, part in zip(held, given, strict=True):
            own.copy_(part)
        if number < WARM:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                optimizer.zero_grad()
                objective(variables, *held).backward()
                optimizer.step()
            torch.cuda.current_stream().wait_stream(side)
        else:
            if number == WARM:
                optimizer.zero_grad()
                with torch.cuda.graph(graph):
                    objective(variables, *held).backward()
                    optimizer.step()
            graph.replay()
        log(number + 1, now)
