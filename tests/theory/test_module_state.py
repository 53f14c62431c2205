"""A module that was run, in its own dtype or in float64, is as it was before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from companion.theory.module_state import Promoted, kept


class Restless(nn.Module):
    """Everything that a forward pass can leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 2))
        self.tied = self.first[0]
        self.register_buffer("seen", torch.zeros(2), persistent=False)
        self.offset = torch.full((2,), 0.5)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.offset.add_(1.0)
        self.output = self.last(self.first(x)) + self.offset
        self.seen = self.seen + self.output.detach().sum(0)
        return self.output


def everything(module):
    tensors = {
        f"{at}.{name}": value
        for at, part in module.named_modules()
        for held in (part._parameters, part._buffers, vars(part))
        for name, value in held.items()
        if isinstance(value, torch.Tensor)
    }
    modes = {name: part.training for name, part in module.named_modules()}
    names = {name: sorted(vars(part)) for name, part in module.named_modules()}
    return tensors, modes, names


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("fails", [False, True])
def test_a_module_is_as_it_was(dtype, fails):
    torch.manual_seed(0)
    module = Restless()
    module.first[1].half()
    module.first.eval()
    module.last.bias.requires_grad_(False)
    module.first[0].bias.grad = torch.ones(4)
    loose = torch.ones(2, requires_grad=True)
    tensors, modes, names = everything(module)
    values = {name: value.detach().clone() for name, value in tensors.items()}
    addresses = {name: value.data_ptr() for name, value in tensors.items()}
    random = torch.get_rng_state()

    def run():
        with kept(module, tensors=[loose], dtype=dtype):
            module.first[1].float() if dtype is None else None
            module.train()
            torch.rand(3)
            module(torch.ones(5, 3, dtype=dtype)).sum().backward()
            module.last.bias.requires_grad_(True)
            with torch.no_grad():
                module.first[0].weight.zero_()
                loose.zero_()
            if dtype is not None:
                assert {p.dtype for p in (*module.parameters(), loose)} == {dtype}
            if fails:
                raise KeyError("planted")

    if fails:
        with pytest.raises(KeyError, match="planted"):
            run()
    else:
        run()
    after, *rest = everything(module)
    assert rest == [modes, names]
    assert after.keys() == values.keys()
    assert all(after[name] is tensors[name] for name in values)
    assert all(after[name].dtype == value.dtype for name, value in values.items())
    assert all(torch.equal(after[name], value) for name, value in values.items())
    assert {name: value.data_ptr() for name, value in after.items()} == addresses
    assert torch.equal(module.first[0].bias.grad, torch.ones(4))
    assert all(p.grad is None for p in module.parameters() if p is not module.first[0].bias)
    assert not module.last.bias.requires_grad
    assert loose.requires_grad
    assert torch.equal(loose.detach(), torch.ones(2))
    assert module.calls == 0
    assert torch.equal(random, torch.get_rng_state())


def test_values_can_be_changed_for_the_while():
    module = nn.Linear(2, 1)
    weight = module.weight.detach().clone()
    with kept(module, change=lambda value: 2 * value):
        assert torch.equal(module.weight, 2 * weight)
    assert torch.equal(module.weight, weight)


def test_a_graph_from_before_still_gives_its_gradient():
    module, x = nn.Linear(3, 2), torch.ones(4, 3)
    held = module(x).square().sum()
    expected = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    with kept(module, dtype=torch.float64), Promoted():
        torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    held.backward()
    found = [parameter.grad for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_lazy_parameters_are_refused():
    with pytest.raises(ValueError, match="must have run once"), kept(nn.LazyLinear(2)):
        pass


def test_a_program_for_float32_runs_in_float64():
    x = torch.tensor([[0.1, 0.2]])
    third = torch.tensor(1.0).div(3)
    module = nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2))
    with kept(module, dtype=torch.float64), Promoted() as mode:
        made = [
            *(torch.zeros(2), torch.tensor(1.0), torch.eye(2, dtype=torch.float32)),
            *(x.float(), x.half(), x.to(torch.bfloat16), x.type(torch.float32), x.type_as(third)),
            *(x * third, module(x)[0], torch.cat([x, x.double()]), torch.full_like(x, 0.3)),
        ]
        assert {each.dtype for each in made} == {torch.float64}
        assert x.dtype == torch.float64
        total = torch.zeros(2)
        total += x[0]
        total[0] = 1 / 3
        total.add_(third.double())
        assert torch.equal(total, torch.tensor([1 / 3, float(x[0, 1])]).double() + third.double())
        x[0, 0] = 0.5
        with torch.autocast("cpu", torch.bfloat16):
            assert module(x)[0].dtype == torch.float64
    assert mode.coarse
    assert x.dtype == torch.float32
    assert float(x[0, 0]) == 0.5
    with Promoted() as mode:
        torch.ones(2, dtype=torch.float64).sum() + torch.arange(3).sum()
    assert not mode.coarse
