"""What comes in and what is left behind: forms of encoders, decoders and losses; no trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import distributions as td
from torch import nn
from torch.nn import functional as F

from companion.models.own.vae import verify_vae
from tests.models.own import designs

X = torch.rand(20, 6, generator=torch.Generator().manual_seed(3))


def linear(outputs=4, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(6, outputs).to(dtype), nn.Linear(2, 6).to(dtype)


def usual(encoder, decoder, error=None, std=lambda v: (v / 2).exp()):
    """The fixed-noise VAE with σ = 1 and all its constants, for an encoder of (mean, raw)."""

    def loss(x):
        mean, raw = encoder(x).chunk(2, -1)
        t = std(raw)
        out = decoder(mean + t * torch.randn_like(mean))
        kl = 0.5 * (mean**2 + t**2 - 1 - 2 * t.log()).sum(1).mean()
        return -td.Normal(out, 1.0).log_prob(x).sum(1).mean() + kl

    return loss


def test_a_standard_deviation_read_as_log_variance_is_named():
    encoder, decoder = linear()

    def encode(x):
        mean, raw = encoder(x).chunk(2, -1)
        return mean, F.softplus(raw)

    found = verify_vae(
        encode, decoder, X, loss=usual(encoder, decoder, std=F.softplus), likelihood="gaussian"
    )
    assert found.passed, found
    assert any("is the standard deviation, and was read so" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["MultivariateNormal", "Laplace"])
def test_other_posteriors(kind):
    encoder, decoder = linear()

    def q(x):
        mean, raw = encoder(x).chunk(2, -1)
        if kind == "Laplace":
            return td.Laplace(mean, raw.exp())
        return td.MultivariateNormal(mean, scale_tril=torch.diag_embed(raw.exp()))

    def loss(x, share=1.0):
        post = q(x)
        z = post.rsample()
        prior = td.Normal(torch.zeros_like(z), 1.0).log_prob(z).sum(-1)
        log_q = post.log_prob(z).reshape(len(x), -1).sum(1)
        return (-td.Normal(decoder(z), 1.0).log_prob(x).sum(1) + share * (log_q - prior)).mean()

    assert verify_vae(q, decoder, X, loss=loss, likelihood="gaussian").passed
    wrong = verify_vae(q, decoder, X, loss=lambda x: loss(x, 0.5), likelihood="gaussian")
    assert "KL divergence is 1/H = 0.5" in wrong.findings[0]


def test_a_learned_prior_and_a_prior_given():
    encoder, decoder = linear()
    log_std = nn.Parameter(torch.tensor([0.2, -0.4]))

    def loss(x):
        mean, raw = encoder(x).chunk(2, -1)
        q, p = td.Normal(mean, (raw / 2).exp()), td.Normal(torch.zeros(2), log_std.exp())
        kl = td.kl_divergence(q, p).sum(1)
        return (kl - td.Normal(decoder(q.rsample()), 1.0).log_prob(x).sum(1)).mean()

    def encode(x):
        return encoder(x).chunk(2, -1)

    words = {"loss": loss, "likelihood": "gaussian"}
    right = verify_vae(
        encode, decoder, X, prior=lambda: td.Normal(torch.zeros(2), log_std.exp()), **words
    )
    assert right.passed, right
    assert not verify_vae(encode, decoder, X, **words).gradient_right


def test_several_samples_and_dictionaries():
    encoder, decoder = linear()

    def loss(x):
        mean, raw = encoder(x).chunk(2, -1)
        z = mean + (raw / 2).exp() * torch.randn(5, *mean.shape)
        kl = 0.5 * (mean**2 + raw.exp() - 1 - raw).sum(1).mean()
        return {"loss": kl - td.Normal(decoder(z), 1.0).log_prob(x).sum(-1).mean(), "kl": kl}

    found = verify_vae(
        lambda x: encoder(x).chunk(2, -1), decoder, X, loss=loss, likelihood="gaussian"
    )
    assert found.passed, found


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_compiled_modules_run_as_they_were_written():
    encoder, decoder = linear()
    compiled = torch.compile(encoder), torch.compile(decoder)
    found = verify_vae(
        lambda x: compiled[0](x).chunk(2, -1), compiled[1], X,
        loss=usual(*compiled), likelihood="gaussian",
    )  # fmt: skip
    assert found.passed, found


@pytest.mark.parametrize("order", [">f4", "<f8"])
def test_arrays_of_any_byte_order(order):
    encoder, decoder = linear(dtype=torch.float64)
    x = np.asfortranarray(X.numpy().astype(order))
    loss = usual(encoder, decoder)
    found = verify_vae(
        lambda x: encoder(x.double()).chunk(2, -1), decoder, x,
        loss=lambda x: loss(x.double()), likelihood="gaussian",
    )  # fmt: skip
    assert found.passed


def test_noise_by_an_inverse_cumulative_distribution():
    encoder, decoder = linear()

    def loss(x):
        mean, raw = encoder(x).chunk(2, -1)
        noise = torch.special.ndtri(0.001 + 0.998 * torch.rand_like(mean))
        kl = 0.5 * (mean**2 + raw.exp() - 1 - raw).sum(1)
        out = decoder(mean + (raw / 2).exp() * torch.erfinv(2 * torch.rand_like(mean) - 1) * 2**0.5)
        return (kl - td.Normal(out, 1.0).log_prob(x).sum(1)).mean() + 0 * noise.sum()

    found = verify_vae(
        lambda x: encoder(x).chunk(2, -1), decoder, X, loss=loss, likelihood="gaussian"
    )
    assert found.passed, found


def test_noise_from_elsewhere_is_undecided_and_never_called_wrong():
    encoder, decoder = linear()

    def loss(x):
        mean, raw = encoder(x).chunk(2, -1)
        noise = torch.from_numpy(np.random.standard_normal(mean.shape)).to(mean)  # noqa: NPY002
        kl = 0.5 * (mean**2 + raw.exp() - 1 - raw).sum(1)
        out = decoder(mean + (raw / 2).exp() * noise)
        return (kl - td.Normal(out, 1.0).log_prob(x).sum(1)).mean()

    found = verify_vae(
        lambda x: encoder(x).chunk(2, -1), decoder, X, loss=loss, likelihood="gaussian"
    )
    assert found.value_right is None and found.gradient_right is None
    assert "undecided" in str(found)
    assert not found.findings


def test_saturated_probabilities_are_told():
    net, _, _, words = designs.build("cross-entropy")
    net.dec[-1].bias.data[:] = 60.0
    x = (X < 0.5).double()
    found = verify_vae(net.encode, net.decode, x, loss=designs.right(net), **words)
    assert any("return logits" in note for note in found.notes)


def test_a_bound_near_zero_passes():
    encoder, decoder = linear(dtype=torch.float64)
    x = 0.05 * X.double()
    for parameter in decoder.parameters():
        parameter.data *= 0.05
    low, high = 0.01, 10.0
    for _ in range(60):
        variance = (low + high) / 2
        above = loss_once(encoder, decoder, x, variance) > 0
        low, high = (low, variance) if above else (variance, high)
    found = verify_vae(
        lambda x: encoder(x).chunk(2, -1), decoder, x, likelihood="gaussian", variance=high,
        loss=lambda x: loss_at(encoder, decoder, x, high),
    )  # fmt: skip
    assert found.loss is not None and abs(found.loss) < 1e-12
    assert found.passed, found


def loss_at(encoder, decoder, x, variance):
    mean, raw = encoder(x).chunk(2, -1)
    out = decoder(mean + (raw / 2).exp() * torch.randn_like(mean))
    kl = 0.5 * (mean**2 + raw.exp() - 1 - raw).sum(1).mean()
    return kl - td.Normal(out, variance**0.5).log_prob(x).sum(1).mean()


def loss_once(encoder, decoder, x, variance):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(loss_at(encoder, decoder, x, variance).detach())


class Watched(nn.Module):
    """BatchNorm, spectral norm, a buffer that counts, a part in evaluation mode."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.enc = nn.Sequential(
                nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 4)
            )
            self.dec = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 6)))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.enc[2].eval()
        self.fail = False

    def encode(self, x):
        self.count += 1
        if self.fail and len(x) < 20:
            raise RuntimeError("planted")
        return self.enc(x).chunk(2, -1)

    def loss(self, x):
        mean, raw = self.encode(x)
        out = self.dec(mean + (raw / 2).exp() * torch.randn_like(mean))
        kl = 0.5 * (mean**2 + raw.exp() - 1 - raw).sum(1).mean()
        return kl - td.Normal(out, 1.0).log_prob(x).sum(1).mean()


def picture(net):
    tensors = {k: (v.clone(), v.dtype, v.data_ptr()) for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    return tensors, modes, gradients, torch.get_rng_state(), torch.get_default_dtype()


def same(one, other):
    assert one[0].keys() == other[0].keys()
    for key, (value, dtype, place) in one[0].items():
        assert torch.equal(value, other[0][key][0]), key
        assert (dtype, place) == other[0][key][1:], key
    assert one[1] == other[1]
    for a, b in zip(one[2], other[2], strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    assert torch.equal(one[3], other[3])
    assert one[4] == other[4]


@pytest.mark.parametrize("fail", [False, True])
def test_the_model_is_left_bit_for_bit_as_it_was(fail):
    net = Watched()
    net.loss(X).backward()
    before = picture(net)
    net.fail = fail
    words = {"loss": net.loss, "likelihood": "gaussian"}
    if fail:
        with pytest.raises(ValueError, match="planted"):
            verify_vae(net.encode, net.dec, X, **words)
    else:
        assert verify_vae(net.encode, net.dec, X, **words).passed
    same(before, picture(net))


def flow(x):
    base = td.Normal(x[:, :2], 1.0)
    return td.TransformedDistribution(base, [td.TanhTransform()])


@pytest.mark.parametrize(
    ("encode", "decode", "loss", "words", "says"),
    [
        (lambda x: x, None, None, {}, "encoder must return a distribution or mean"),
        (lambda x: (x, x, x), None, None, {}, "got 3 parts"),
        (lambda x: (x, x[:, :2]), None, None, {}, "of one shape"),
        (lambda x: td.Bernoulli(logits=x), None, None, {}, "with rsample: got Bernoulli"),
        (None, lambda z: z, None, {}, "likelihood must be one of bernoulli, "),
        (None, lambda z: "x", None, {}, "decoder must return a distribution, a tensor"),
        (None, lambda z: z[:, :1], None, {"likelihood": "gaussian"}, "one distribution for each"),
        (None, lambda z: td.VonMises(z @ torch.ones(2, 6), 1.0), None, {}, "got VonMises"),
        (None, None, lambda x: x, {}, "loss must return a scalar"),
        (None, None, lambda x: torch.tensor(1.0), {}, "it has no gradient"),
        (lambda x: flow(x), None, None, {}, "whose mean torch knows: got TransformedDistribution"),
        (None, None, None, {"likelihood": "gauss"}, "likelihood must be one of"),
        (None, None, None, {"variance": -1.0}, "variance must be positive"),
        (None, None, None, {"samples": 0}, "samples must be a positive integer"),
        (lambda x: (x[:, :2], 800 + x[:, :2]), None, None, {}, "finite densities"),
        (None, None, None, {"prior": 3}, "prior must be a "),
        (None, None, None, {"prior": td.Normal(X[0], 1.0)}, "prior must have the latents"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_in_one_sentence(encode, decode, loss, words, says):
    encoder, decoder = linear()
    words = ({} if decode else {"likelihood": "gaussian"}) | words
    with pytest.raises(ValueError, match=says) as caught:
        verify_vae(
            encode or (lambda x: encoder(x).chunk(2, -1)), decode or decoder, X, loss=loss, **words
        )
    assert "\n" not in str(caught.value)


HOSTILE = [
    torch.zeros(0, 6),
    torch.tensor(1.0),
    torch.full((3, 6), torch.nan),
    torch.zeros(3, 6).to_sparse(),
    torch.zeros(3, 6, dtype=torch.complex64),
    torch.zeros(3, 6, device="meta"),
    np.ma.masked_equal(np.eye(6), 1.0),
    [["a"] * 6],
    None,
]


@pytest.mark.parametrize("x", HOSTILE, ids=range(len(HOSTILE)))
def test_data_are_checked(x):
    encoder, decoder = linear()
    with pytest.raises(ValueError, match=r"^x must"):
        verify_vae(lambda x: encoder(x).chunk(2, -1), decoder, x, likelihood="gaussian")
