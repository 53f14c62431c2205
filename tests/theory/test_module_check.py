"""The identity as a unit test for modules written the usual way, and bugs that it must catch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from companion import verify_module
from companion.studies.own_elbo import usual_vae
from tests.cases import generator


class VAE(nn.Module):
    """A VAE-1 as many people write it: encoder with log-variance head, learnable noise."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.mean = nn.Linear(5, 7), nn.Linear(7, 2)
        self.log_variance = nn.Linear(7, 2)
        self.first, self.last = nn.Linear(2, 6), nn.Linear(6, 5)
        self.noise = nn.Parameter(torch.tensor(0.2))

    def forward(self, x):
        hidden = torch.tanh(self.encode(x))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.last(torch.tanh(self.first(z))), mean, log_variance


def elbo(x, kl_factor=1.0, halved=True, constant=True, mean_kl=False, double=1.0):
    def value(m):
        reconstruction, mean, log_variance = m(x)
        square = ((x - reconstruction) ** 2).sum(1)
        log_likelihood = -0.5 * square * torch.exp(-double * m.noise) - 2.5 * m.noise
        if constant:
            log_likelihood = log_likelihood - 2.5 * math.log(2 * math.pi)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
        kl = kl.mean(1) if mean_kl else kl.sum(1)
        return (log_likelihood - kl_factor * (kl if halved else 2 * kl)).mean()

    return value


def entropies(x):
    def value(m):
        log_variance = m.log_variance(torch.tanh(m.encode(x)))
        return 0.5 * log_variance.sum(1).mean() - 2.5 * (m.noise + math.log(2 * math.pi * math.e))

    return value


def direction(m):
    return {
        "noise": -1.0,
        "first.weight": -0.5 * m.first.weight,
        "mean.weight": 0.5 * m.mean.weight,
        "mean.bias": 0.5 * m.mean.bias,
        "log_variance.bias": 1.0,
    }


def module_and_data(dtype=torch.float64):
    torch.manual_seed(3)
    x = 2 * torch.randn(9, 5, generator=generator("module"), dtype=torch.float64).to(dtype)
    return VAE().to(dtype), x


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_correct_vae_passes_with_one_sample(dtype):
    module, x = module_and_data(dtype)
    report = verify_module(module, elbo(x), entropies(x), direction)
    assert report.passed
    assert abs(report.gap) > 0.1
    assert "the identity holds" in str(report)
    assert "the identity holds" in report._repr_html_()


@pytest.mark.parametrize(
    "bug",
    [
        {"mean_kl": True},
        {"halved": False},
        {"constant": False},
        {"kl_factor": 0.5},
        {"double": 2.0},
    ],
    ids=lambda bug: next(iter(bug)),
)
def test_classic_bugs_are_caught(bug):
    module, x = module_and_data()
    report = verify_module(module, elbo(x, **bug), entropies(x), direction)
    assert not report.passed
    assert report.residual > 1e-2
    assert "FAILS" in str(report)


def test_parameters_mode_gradients_and_random_state_are_left_alone():
    module, x = module_and_data()
    module.eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = torch.get_rng_state()
    verify_module(module, elbo(x), entropies(x), direction)
    assert torch.equal(state, torch.get_rng_state())
    assert not module.training
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_bad_input_is_named():
    module, x = module_and_data()
    good = elbo(x), entropies(x)
    with pytest.raises(ValueError, match="no parameter of the module"):
        verify_module(module, *good, {"sigma": -1.0})
    with pytest.raises(ValueError, match=r"direction\['noise'\] must be a number or have shape"):
        verify_module(module, *good, {"noise": torch.ones(3)})
    with pytest.raises(ValueError, match="at least one entry"):
        verify_module(module, *good, {})
    with pytest.raises(ValueError, match="elbo must return a finite scalar"):
        verify_module(module, lambda m: m(x)[0], good[1], direction)
    with pytest.raises(ValueError, match="entropy_sum must return a finite scalar"):
        verify_module(module, good[0], lambda m: m.noise * math.nan, direction)
    with pytest.raises(ValueError, match="must have parameters"):
        verify_module(nn.Tanh(), *good, {"noise": 1.0})
    with pytest.raises(ValueError, match="no gradient"):
        verify_module(module, lambda m: torch.tensor(1.0), good[1], direction)
    ticks = iter(range(100))
    with pytest.raises(ValueError, match="same value twice"):
        verify_module(module, lambda m: m.noise * next(ticks), good[1], direction)


def test_a_parameter_that_is_not_learned_is_named():
    module, x = module_and_data()
    module.noise.requires_grad_(False)
    with pytest.raises(ValueError, match="direction names 'noise', which is not learned"):
        verify_module(module, elbo(x), entropies(x), direction)
    with pytest.raises(ValueError, match=r"direction\['mean.bias'\] must be finite"):
        verify_module(module, elbo(x), entropies(x), {"mean.bias": math.inf})


# --- no verdict from round-off --------------------------------------------------------------------


def pictures(count, size=784):
    g = torch.Generator().manual_seed(0)
    return 0.3 * torch.rand(count, size, generator=g) * (torch.rand(count, size, generator=g) < 0.2)


def judged(vae, x):
    return verify_module(
        vae,
        lambda m: m.elbo(x),
        lambda m: usual_vae.entropy_sum(m, x),
        lambda m: usual_vae.direction(m),
    )


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Slight(usual_vae.LeftoverBeta):
    """A mistake of a thousandth."""

    beta = 0.999


@pytest.mark.parametrize("noise", [-2.0, -2.83])
@pytest.mark.usefixtures("one_thread")
def test_float32_on_one_thread_with_many_pixels_and_an_elbo_near_zero(noise):
    torch.manual_seed(0)
    vae, x = usual_vae.UsualVAE(784, 8), pictures(1500)
    for parameter in vae.decoder.parameters():
        parameter.data.mul_(0.1)
    vae.log_variance.data.fill_(noise)
    report = judged(vae, x)
    assert report.passed and report.residual < 1e-9
    assert abs(report.gap) > 20
    assert not judged(usual_vae.planted(vae, usual_vae.LeftoverBeta), x).passed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_dtype_is_judged_as_sharply(dtype):
    torch.manual_seed(1)
    vae, x = usual_vae.UsualVAE(20, 4).to(dtype), pictures(50, 20).to(dtype)
    right, wrong = judged(vae, x), judged(usual_vae.planted(vae, Slight), x)
    assert right.passed and right.dtype == torch.float64
    assert right.residual < 1e-12 * right.scale
    assert wrong.verdict == "fail" and wrong.residual < 1e-2 * wrong.scale
    assert next(vae.parameters()).dtype == dtype


def test_mixed_dtypes():
    class Mixed(usual_vae.UsualVAE):
        def encode(self, x):
            mean, log_variance = self.encoder(x.to(torch.bfloat16)).float().chunk(2, dim=-1)
            return mean, log_variance

    torch.manual_seed(1)
    vae, x = Mixed(20, 4), pictures(50, 20)
    vae.encoder.to(torch.bfloat16)
    assert judged(vae, x).passed
    vae.kl = lambda *arguments: 0.999 * usual_vae.UsualVAE.kl(vae, *arguments)
    assert judged(vae, x).verdict == "fail"
    assert vae.encoder[0].weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("dtype", "verdict"),
    [(torch.float32, "pass"), (torch.float16, "undecided"), (torch.bfloat16, "undecided")],
)
@pytest.mark.parametrize("where", ["buffer", "closure"])
def test_a_constant_that_was_rounded_is_no_mistake(dtype, verdict, where):
    class Rounded(usual_vae.UsualVAE):
        def log_likelihood(self, x, z):
            square = (x - self.decoder(z)).square() / self.log_variance.exp()
            log_2pi = self.log_2pi if where == "buffer" else constant
            return -0.5 * (square + self.log_variance + log_2pi).sum(-1)

    torch.manual_seed(1)
    vae, x = Rounded(784, 4), pictures(30)
    constant = torch.tensor(math.log(2 * math.pi))
    vae.register_buffer("log_2pi", constant)
    report = judged(vae, x) if where == "closure" else judged(vae.to(dtype), x.to(dtype))
    assert report.residual > 1e-6
    assert report.verdict == ("pass" if where == "closure" else verdict)


def test_a_program_that_refuses_float64_is_judged_by_what_round_off_moves():
    class Refusing(usual_vae.UsualVAE):
        def encode(self, x):
            if self.log_variance.data_ptr() and self.encoder[0].weight.dtype == torch.float64:
                raise RuntimeError("no float64 here")
            return super().encode(x)

    torch.manual_seed(1)
    vae, x = Refusing(200, 4), pictures(100, 200)
    report = judged(vae, x)
    assert report.passed and report.dtype == torch.float32
    wrong = judged(usual_vae.planted(vae, type("Wrong", (usual_vae.AveragedKL, Refusing), {})), x)
    assert wrong.verdict == "fail" and wrong.dtype == torch.float32
    coarse = judged(vae.to(torch.bfloat16), x.to(torch.bfloat16))
    assert coarse.verdict == "undecided" and not coarse.passed
    assert "undecided" in str(coarse)


def test_cancellation_in_a_program_leaves_it_undecided():
    """The natural form of a density, far from zero: what is left is round-off, and it is large."""

    class Natural(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = nn.Parameter(torch.tensor(1e8, dtype=torch.float64))
            self.log_variance = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    x = 1e8 + torch.randn(50, dtype=torch.float64, generator=generator("natural"))

    def log_likelihood(m):
        precision = (-m.log_variance).exp()
        eta = m.mean * precision
        constant = m.log_variance + math.log(2 * math.pi) + m.mean**2 * precision
        return (eta * x - 0.5 * precision * x**2).mean() - 0.5 * constant

    def minus_entropy(m):
        return -0.5 * (m.log_variance + math.log(2 * math.pi * math.e))

    report = verify_module(Natural(), log_likelihood, minus_entropy, {"log_variance": -1.0})
    assert report.verdict == "undecided"


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_buffers_of_every_part_are_left_alone(fails):
    vae = usual_vae.UsualVAE(6, 2)
    vae.encoder = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    vae.encoder[0].eval()
    x = 5 + torch.rand(20, 6, generator=generator("buffers"))
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    modes = {name: part.training for name, part in vae.named_modules()}

    def sums(m):
        if fails:
            raise KeyError("planted")
        return usual_vae.entropy_sum(m, x)

    def run():
        return verify_module(vae, lambda m: m.eval().elbo(x), sums, usual_vae.direction)

    if fails:
        with pytest.raises(KeyError, match="planted"):
            run()
    else:
        verify_module(vae, lambda m: m.elbo(x), sums, usual_vae.direction)
        run()
    assert {name: part.training for name, part in vae.named_modules()} == modes
    after = vae.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(after[name].dtype == value.dtype for name, value in before.items())
