"""A user's program: which modules and parameters it has; running it so that no trace is left."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from companion.models.own.noise import rewind, seeded
from companion.theory.module_state import Promoted, kept

__all__ = ["Program", "leaves_of", "modules_in"]

#: A moved parameter is multiplied by exp(MOVED · standard normal): its signs stay.
MOVED = 0.1


class Program:
    """Functions on shared parameters, run on copies of them, in float64 where that is possible.

    ``leaves`` are the parameters with respect to which gradients are taken. ``settled`` is ``None``
    where float64 was refused by the program or by the device; then all runs are in its own dtypes.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]], run: Callable[[], Tensor]) -> None:
        self.modules = modules_in(*functions)
        self.dtype: torch.dtype | None = None
        loose = self._discover(run)
        held = {id(p) for m in self.modules for p in m.parameters()}
        self._loose = [leaf for leaf in loose if id(leaf) not in held]
        own = [p for m in self.modules for p in m.parameters() if p.requires_grad]
        self.leaves = list({id(leaf): leaf for leaf in (*loose, *own)}.values())
        dtypes = {leaf.dtype for leaf in self.leaves} or {torch.float64}
        self.coarsest = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)

    def _discover(self, run: Callable[[], Tensor]) -> list[Tensor]:
        """Run once, with each module that shows itself kept from its first call on."""
        with ExitStack() as stack:
            stack.enter_context(rewind())
            stack.enter_context(_eagerly())
            stack.enter_context(kept(*self.modules))
            seen = {id(part) for module in self.modules for part in module.modules()}

            def first_seen(module: nn.Module, inputs: object) -> None:
                if id(module) not in seen:
                    seen.update(id(part) for part in module.modules())
                    self.modules.append(module)
                    stack.enter_context(kept(module))

            # torch.compile says that hooks fire twice on what it made: here that does no harm.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="Using `torch.compile")
            handle = register_module_forward_pre_hook(first_seen)
            try:
                return leaves_of(run())
            finally:
                handle.remove()

    @contextmanager
    def setting(
        self, moved: bool = False, seed: int = 0, modes: Iterable[TorchFunctionMode] = ()
    ) -> Iterator[None]:
        """Within: the program on copies, from one seed, its parameters ``moved`` or as given."""
        with ExitStack() as stack:
            stack.enter_context(rewind())
            stack.enter_context(_eagerly())
            stack.enter_context(kept(*self.modules, tensors=self._loose, dtype=self.dtype))
            if self.dtype is torch.float64:
                stack.enter_context(Promoted())
            if moved:
                generator = torch.Generator().manual_seed(seed + 1)
                for leaf in self.leaves:
                    leaf.data = _moved(leaf.data, generator)
            seeded(seed)
            for mode in modes:
                stack.enter_context(mode)
            yield

    def gradient(self, value: Tensor, *also: Tensor) -> list[Tensor]:
        """Gradient of ``value`` in each leaf, then in each of ``also``; zeros where it has none."""
        inputs = [*self.leaves, *also]
        if not value.requires_grad:
            return [torch.zeros_like(leaf) for leaf in inputs]
        return list(
            torch.autograd.grad(
                value, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )


@contextmanager
def _eagerly() -> Iterator[None]:
    """Within: gradients are on, and what torch.compile made runs as it was written."""
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _moved(data: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(data.shape, generator=generator, dtype=torch.float64).to(data)
    zeros = data == 0
    size = data.square().mean().sqrt() if bool((~zeros).any()) else torch.ones_like(data).mean()
    return torch.where(zeros, MOVED * noise * size, data * (MOVED * noise).exp())


def leaves_of(value: Tensor) -> list[Tensor]:
    """The leaves of the graph that ``value`` hangs on, each once."""
    found: dict[int, Tensor] = {}
    seen, waiting = set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            found[id(leaf)] = leaf
        waiting += [above for above, _ in node.next_functions]
    if value.grad_fn is None and value.requires_grad:
        found[id(value)] = value
    return list(found.values())


def modules_in(*objects: Any) -> list[nn.Module]:
    """Modules that functions hold: themselves, in what they are bound to, close over or name."""
    found: dict[int, nn.Module] = {}
    seen: set[int] = set()
    waiting = [(each, 0) for each in objects]
    while waiting:
        each, depth = waiting.pop()
        if id(each) in seen or depth > 4:
            continue
        seen.add(id(each))
        if isinstance(each, nn.Module):
            found[id(each)] = each
        else:
            waiting += [(part, depth + 1) for part in _parts(each)]
    below = {id(part) for module in found.values() for part in list(module.modules())[1:]}
    return [module for key, module in found.items() if key not in below]


def _parts(each: Any) -> list[Any]:
    if isinstance(each, partial):
        return [each.func, *each.args, *each.keywords.values()]
    if isinstance(each, list | tuple):
        return list(each)
    if isinstance(each, dict):
        return list(each.values())
    if (owner := getattr(each, "__self__", None)) is not None:
        return [owner, getattr(each, "__func__", None)]
    code = getattr(each, "__code__", None)
    if code is not None:
        names, codes = set(), [code]
        while codes:
            inner = codes.pop()
            names |= set(inner.co_names)
            codes += [const for const in inner.co_consts if hasattr(const, "co_names")]
        cells = [cell.cell_contents for cell in each.__closure__ or () if _filled(cell)]
        known = [each.__globals__[name] for name in names if name in each.__globals__]
        held = [part for part in known if isinstance(part, nn.Module) or hasattr(part, "__code__")]
        return [*cells, *held, *(each.__defaults__ or ())]
    return [part for part in getattr(each, "__dict__", {}).values() if isinstance(part, nn.Module)]


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that has no value yet
        return False
