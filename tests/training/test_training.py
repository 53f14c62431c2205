"""Training of many seeds at once: the same runs as alone, and what is logged of them."""

import contextlib
import dataclasses
import itertools
import types

import pytest
import torch

from companion import datasets, elbo, fit, models, verify
from companion.theory.variational import cubature, samples
from companion.training import Plan, batch_elbo, recorded, run, train_vae
from companion.training.elbo import MANY

SHORT = Plan(steps=6, log_every=3, batch_size=20, learning_rate=1e-2)
KINDS = [("scalar", False), ("pixel", True), ("head", False), ("head", True), ("softplus", False)]


def vae(noise="scalar", learnable_prior=False, hidden=(5,)):
    model = models.GaussianVAE(13, 2, hidden, noise, learnable_prior)
    return model, models.Encoder(13, 2, hidden)


@pytest.fixture(scope="module")
def x():
    return datasets.wine(standardize=True)[:50]


@pytest.mark.parametrize(("noise", "learnable_prior"), KINDS)
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_the_objective_is_the_elbo(x, noise, learnable_prior, hidden):
    model, encoder = vae(noise, learnable_prior, hidden)
    draws = torch.Generator().manual_seed(1)
    own, phi = model.initial_parameters(draws), encoder.initial_parameters(draws)
    own = {name: value + 0.1 for name, value in own.items()}
    rule = cubature(2)  # exact for the prior's part, so that both forms of the KL agree
    q = encoder.posterior(phi, x, rule)
    fast = batch_elbo(model, own, q, x)
    assert abs(float(fast - elbo(model, own, q, x))) < 1e-11 * (1 + abs(float(fast)))
    kl = (fast - batch_elbo(model, own, q, x, kl_weight=0.0)).neg()
    half = batch_elbo(model, own, q, x, kl_weight=0.5)
    assert float(half - fast) == pytest.approx(0.5 * float(kl), rel=1e-12)


@pytest.mark.parametrize(
    ("noise", "learnable_prior", "profile"),
    [
        ("scalar", False, ("noise",)),
        ("pixel", True, ("noise", "prior")),
        ("scalar", True, ("prior",)),
        ("head", True, ("noise", "prior")),
    ],
)
def test_a_profiled_variance_is_the_best_one(x, noise, learnable_prior, profile):
    model, encoder = vae(noise, learnable_prior)
    draws = torch.Generator().manual_seed(2)
    own, phi = model.initial_parameters(draws), encoder.initial_parameters(draws)
    phi = {name: value + 0.3 for name, value in phi.items()}
    q = encoder.posterior(phi, x, cubature(2))
    best = float(batch_elbo(model, own, q, x, profile=profile))
    names = {"noise": "log_variance.bias" if noise == "head" else "log_variance"}
    names["prior"] = "prior_log_variance"
    free = {names[scale] for scale in profile}

    def value(changed):
        return batch_elbo(model, own | changed, q, x)

    found = fit_only(value, {name: own[name] for name in free})
    assert float(value(found)) == pytest.approx(best, abs=1e-9)
    assert float(value({})) < best - 1e-3


def fit_only(value, start):
    """Newton's method on a few parameters."""
    names = sorted(start)
    sizes = [start[name].numel() for name in names]

    def of(vector):
        parts = vector.split(sizes)
        return value({n: p.reshape(start[n].shape) for n, p in zip(names, parts, strict=True)})

    vector = torch.cat([start[name].reshape(-1) for name in names])
    for _ in range(12):
        gradient = torch.func.grad(of)(vector)
        step = torch.linalg.solve(torch.func.hessian(of)(vector), gradient)
        vector = vector - step.clamp(-1, 1)
    parts = vector.split(sizes)
    return {n: p.reshape(start[n].shape) for n, p in zip(names, parts, strict=True)}


@pytest.mark.parametrize(("noise", "learnable_prior"), KINDS)
def test_a_seed_learns_the_same_alone_and_among_others(x, noise, learnable_prior):
    model, encoder = vae(noise, learnable_prior)
    together = train_vae(model, encoder, x, (3, 4, 5), SHORT, nodes=4)
    alone = train_vae(model, encoder, x, [4], SHORT, nodes=4)
    for t in range(3):
        for name, value in alone.parameters(0, t).items():
            assert torch.allclose(value, together.parameters(1, t)[name], atol=1e-10), (t, name)
        for name, value in alone.encoder_parameters(0, t).items():
            assert torch.allclose(value, together.encoder_parameters(1, t)[name], atol=1e-10)
    assert torch.allclose(together.column("elbo")[1:2], alone.column("elbo"), atol=1e-9)
    seeds = [together.parameters(s)["mean.weights"] for s in range(3)]
    assert all(not torch.allclose(a, b) for a, b in itertools.combinations(seeds, 2))


def test_full_batches_take_the_same_steps_as_adam_on_the_elbo(x):
    model, encoder = vae(hidden=())
    plan = Plan(steps=20, log_every=10, learning_rate=1e-2, samples=None)
    runs = train_vae(model, encoder, x, [7], plan)
    draws = torch.Generator().manual_seed(7)
    start, phi = model.initial_parameters(draws), encoder.initial_parameters(draws)
    q = encoder.posterior(phi, x, cubature(2))
    plain = fit.adam(model, start, q, x, steps=20, learning_rate=1e-2, log_every=10)
    for name, value in plain.parameters.items():
        assert torch.allclose(value, runs.parameters(0)[name], atol=1e-9), name


def test_what_is_logged_is_verified_in_float64_on_all_data(x):
    model, encoder = vae("head")
    runs = train_vae(model, encoder, x, range(2), dataclasses.replace(SHORT, steps=7), nodes=3)
    assert runs.steps == (0, 3, 6, 7)
    assert float(runs.column("relative_residual").max()) < 1e-12
    report = verify(model, runs.parameters(1, 2), runs.q(1, 2), x)
    assert runs.traces[1].records[2].elbo == report.elbo
    assert runs.rows()[1] == (runs.seeds[1], *runs.traces[1].rows()[-1])
    assert runs.column("elbo").shape == (2, 4)
    assert float((runs.column("elbo")[:, -1] - runs.column("elbo")[:, 0]).min()) > 0


def test_profiled_variances_leave_no_gap_at_any_logged_step(x):
    model, encoder = vae("pixel", True)
    assert Plan(profile="noise").profile == ("noise",)
    plan = dataclasses.replace(SHORT, profile=("noise", "prior"))
    runs = train_vae(model, encoder, x, range(2), plan, nodes=3)
    assert float(runs.column("gap").abs().max()) < 1e-12
    plain = train_vae(model, encoder, x, range(2), SHORT, nodes=3)
    assert float(plain.column("gap").abs().min()) > 1e-3


def test_precision_changes_round_off_only(x):
    model, encoder = vae()
    double = train_vae(model, encoder, x, range(2), SHORT, nodes=3).column("elbo")
    plan = dataclasses.replace(SHORT, precision="float32", device="cpu")
    single = train_vae(model, encoder, x, range(2), plan, nodes=3).column("elbo")
    difference = (double - single).abs()[:, 1:]
    assert 0 < float(difference.max()) < 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
def test_a_gpu_learns_what_a_cpu_learns(x):
    model, encoder = vae("head", True)
    plan = dataclasses.replace(SHORT, device="cpu")
    cpu = train_vae(model, encoder, x, range(3), plan, nodes=3).column("elbo")
    plan = dataclasses.replace(SHORT, device="cuda")
    gpu = train_vae(model, encoder, x, range(3), plan, nodes=3)
    there = gpu.on(plan.place).column("gap")
    assert torch.allclose(there, gpu.column("gap"), atol=1e-12)
    assert gpu.parameters(0)["mean.weights"].device.type == "cpu"
    assert torch.allclose(cpu, gpu.column("elbo"), atol=1e-8)


def test_traces_are_where_the_data_are_whatever_the_default_device(x):
    model, encoder = vae("head", True)
    runs = train_vae(model, encoder, x, range(2), dataclasses.replace(SHORT, device="cpu"), nodes=3)
    with torch.device("meta"):
        elsewhere = runs.on(torch.device("cpu")).column("elbo")
    assert torch.equal(elsewhere, runs.column("elbo"))


def test_draws_where_training_runs_are_the_seeds_own(x):
    model, encoder = vae()
    plan = dataclasses.replace(SHORT, draws="device", device="cpu", samples=3)
    together = train_vae(model, encoder, x, range(2), plan, nodes=3).column("elbo")
    alone = train_vae(model, encoder, x, [1], plan, nodes=3).column("elbo")
    assert torch.allclose(together[1:], alone, atol=1e-9)
    other = train_vae(model, encoder, x, range(2), dataclasses.replace(plan, draws="cpu"), nodes=3)
    assert torch.equal(other.column("elbo")[:, 0], together[:, 0])  # the start is the same
    assert not torch.allclose(other.column("elbo")[:, -1], together[:, -1], atol=1e-4)


@pytest.mark.parametrize("noise", ["scalar", "pixel"])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_many_samples_are_averaged_before_the_last_layer(x, noise, hidden, monkeypatch):
    model, encoder = vae(noise, hidden=hidden)
    draws = torch.Generator().manual_seed(3)
    own, phi = model.initial_parameters(draws), encoder.initial_parameters(draws)
    own = {name: value + 0.2 for name, value in own.items()}
    q = encoder.posterior(phi, x, samples(len(x), MANY, 2, draws))

    def gradient():
        return torch.func.grad(lambda values: batch_elbo(model, values, q, x))(own)

    fast, short = gradient(), float(batch_elbo(model, own, q, x))
    monkeypatch.setattr("companion.training.elbo.MANY", MANY + 1)
    assert short == pytest.approx(float(batch_elbo(model, own, q, x)), rel=1e-13)
    assert short == pytest.approx(float(elbo(model, own, q, x)), abs=1)  # its KL is an average
    for name, value in gradient().items():
        assert torch.allclose(value, fast[name], rtol=1e-10, atol=1e-11), name


def test_a_batch_in_pieces_has_the_same_gradient(x, monkeypatch):
    """As on a GPU, where one long sum for each seed would leave most of it idle."""
    model, encoder = vae("head")
    plan = dataclasses.replace(SHORT, steps=3)
    whole = train_vae(model, encoder, x, range(2), plan, nodes=3)
    for pieces in (4, 20):
        monkeypatch.setattr("companion.training.run._pieces", lambda *_, n=pieces: n)
        for seeds in (range(2), [0]):
            cut = train_vae(model, encoder, x, seeds, plan, nodes=3)
            for name, value in cut.parameters(0).items():
                assert torch.allclose(value, whole.parameters(0)[name], atol=1e-11), name


@pytest.mark.parametrize("own_data", [False, True])
def test_seeds_in_groups_learn_what_they_learn_together(x, own_data, monkeypatch):
    """On a CPU only as many are trained at once as its cache holds."""
    model, encoder = vae("head", True)
    data = torch.stack([x, x + 1, x * 2]) if own_data else x
    whole = train_vae(model, encoder, data, (5, 6, 7), SHORT, nodes=3)
    width = 13 * SHORT.batch_size
    for numbers in (1, 2 * width):  # one, and two at once
        monkeypatch.setattr("companion.training.run.CACHE", numbers)
        groups = train_vae(model, encoder, data, (5, 6, 7), SHORT, nodes=3)
        assert groups.steps == whole.steps and groups.seeds == (5, 6, 7)
        for name in ("elbo", "gap", "gradient_norm"):
            assert torch.allclose(groups.column(name), whole.column(name), atol=1e-9), name


def test_how_many_seeds_are_trained_at_once_follows_from_their_layers():
    model, encoder = vae(hidden=(50, 50))
    wide = models.Encoder(13, 2, (200,))
    many = run._together
    assert many(model, encoder, 10_000, 20, Plan(batch_size=2000)) == 2**18 // (2000 * 50)
    assert many(model, wide, 100, 20, Plan(batch_size=2000, samples=2)) == 2**18 // (200 * 200)
    assert many(model, encoder, 100, 20, Plan(samples=None)) == 2**18 // (100 * 20 * 50)
    linear = vae(hidden=())
    assert many(*linear, 100, 20, Plan(samples=None)) == 2**18 // (100 * 4 * 13)
    assert many(model, encoder, 10**7, 20, Plan()) == 1


def test_the_seed_that_diverged_is_named_in_whatever_group(x, monkeypatch):
    model, encoder = vae()
    monkeypatch.setattr("companion.training.run.CACHE", 1)
    data = torch.stack([x, x * 1e160])
    with pytest.raises(ValueError, match="parameters of seed 9 are not finite"):
        train_vae(model, encoder, data, (8, 9), SHORT, nodes=3)


def test_how_a_batch_is_cut(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cases = {(20, 2000): 25, (100, 2000): 5, (1, 7): 7, (600, 2000): 1, (3, 2003): 1}
    for (seeds, points), pieces in cases.items():
        assert run._pieces(seeds, points, Plan()) == pieces
    for plan in (Plan(device="cpu"), Plan(samples=None), Plan(profile=("noise",))):
        assert run._pieces(20, 2000, plan) == 1


class Recording:
    """In place of a CUDA graph: replaying it does again what was done while it was recorded."""

    def __init__(self):
        self.replays = 0

    def replay(self):
        self.replays += 1


def test_a_recorded_step_sees_the_data_and_noise_of_its_own_step(x, monkeypatch):
    """The part of it that needs no GPU: what is handed out, in which order, and what is logged."""
    graph = Recording()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    stream = types.SimpleNamespace(wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *a, capturable, **k: adam(*a, **k))
    monkeypatch.setattr(recorded, "WARM", 5)
    seen, logged = [], []
    feed = types.SimpleNamespace(next=lambda: (torch.full((1,), 1.0 + len(seen)),))

    def objective(values, given):
        seen.append(float(given))
        return (values["a"] * given).sum()

    plan = Plan(steps=8, learning_rate=0.5, decay=False)
    start = {"a": torch.zeros(1)}
    recorded.recorded_adam(
        objective, feed, start, plan, lambda step, now: logged.append((step, float(now["a"])))
    )
    assert seen == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] and graph.replays == 3
    assert [step for step, _ in logged] == list(range(9))
    assert [value for _, value in logged[:6]] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.2)


def test_traces_are_computed_where_they_are_asked_for(x):
    model, encoder = vae("head")
    runs = train_vae(model, encoder, x, range(2), SHORT, nodes=3)
    assert torch.equal(runs.on(torch.device("cpu")).column("gap"), runs.column("gap"))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Plan().place == torch.device("cpu")
    with pytest.raises(ValueError, match='device="cuda" needs a GPU'):
        _ = Plan(device="cuda").place
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Plan().place == torch.device("cuda")
    assert Plan(device="cpu").place == torch.device("cpu")


def test_each_seed_may_have_data_of_its_own(x):
    model, encoder = vae()
    own = torch.stack([x[:25], x[25:]])
    runs = train_vae(model, encoder, own, range(2), SHORT, nodes=3)
    alone = train_vae(model, encoder, x[25:], [1], SHORT, nodes=3)
    assert torch.allclose(runs.column("elbo")[1:], alone.column("elbo"), atol=1e-9)
    assert torch.equal(runs.data(1), x[25:])


def test_a_pass_shows_every_point_once():
    from companion.training.feed import Feed

    data = torch.arange(10.0, dtype=torch.float64)[:, None]
    draws = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    feed = Feed(data, (cubature(1),) * 2, draws, Plan(batch_size=5), 1)
    first, second = feed.next()[0], feed.next()[0]
    for seed in range(2):
        seen = torch.cat([first[seed], second[seed]]).flatten().sort().values
        assert torch.equal(seen, data.flatten())
    assert not torch.equal(first[0], first[1])


def test_frozen_nodes_follow_their_points():
    from companion.training.feed import Feed

    data = torch.arange(6.0, dtype=torch.float64)[:, None]
    draws = torch.Generator().manual_seed(0)
    rule = samples(6, 2, 1, draws)
    feed = Feed(data, (rule,), [draws], Plan(batch_size=4, samples=None), 1)
    x, z, weights = feed.next()
    assert torch.equal(z[0], rule.z[x[0].flatten().long()])
    assert torch.equal(weights, torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_the_weight_of_the_kl_rises_over_the_warm_up(x):
    model, encoder = vae("scalar", False)
    long = dataclasses.replace(SHORT, batch_size=None, warmup=10**9)
    no_kl = train_vae(model, encoder, x, [0], long, nodes=3)
    with_kl = train_vae(model, encoder, x, [0], dataclasses.replace(long, warmup=0), nodes=3)
    ended = train_vae(model, encoder, x, [0], dataclasses.replace(long, warmup=1), nodes=3)
    name = "log_std.bias"
    assert not torch.equal(no_kl.encoder_parameters(0)[name], with_kl.encoder_parameters(0)[name])
    assert torch.equal(ended.encoder_parameters(0)[name], with_kl.encoder_parameters(0)[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be"),
        ({"batch_size": -1}, "batch_size must be"),
        ({"samples": 0}, "samples must be"),
        ({"learning_rate": 0.0}, "learning_rate must be positive: got 0.0"),
        ({"warmup": -3}, "warmup must be a number of steps, 0 for none: got -3"),
        ({"profile": ("sigma",)}, "profile must name scales among noise, prior"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda: got 'tpu'"),
        ({"draws": "gpu"}, "draws must be one of cpu, device: got 'gpu'"),
        ({"precision": "half"}, "precision must be one of float32, float64: got 'half'"),
    ],
)
def test_a_plan_refuses_what_it_cannot_do(changes, message):
    with pytest.raises(ValueError, match=message):
        Plan(**changes)


def test_what_cannot_be_trained_is_refused(x):
    model, encoder = vae()
    with pytest.raises(ValueError, match="seeds must name at least one seed: got none"):
        train_vae(model, encoder, x, [])
    with pytest.raises(ValueError, match="model must be a GaussianVAE: got PPCA"):
        train_vae(models.PPCA(13, 2), encoder, x, [0])
    with pytest.raises(ValueError, match="encoder must have the model's sizes"):
        train_vae(model, models.Encoder(13, 3), x, [0])
    with pytest.raises(ValueError, match="x must have 13 columns"):
        train_vae(model, encoder, x[:, :5], [0])
    with pytest.raises(ValueError, match="one data set for each of the 3 seeds"):
        train_vae(model, encoder, torch.stack([x, x]), range(3))
    with pytest.raises(ValueError, match="learnable_prior=True"):
        train_vae(model, encoder, x, [0], Plan(profile=("prior",)))
    with pytest.raises(ValueError, match="no closed form"):
        train_vae(vae("softplus")[0], encoder, x, [0], Plan(profile=("noise",)))
    fixed = models.GaussianVAE(13, 2, noise_type="fixed", variance=1.0)
    with pytest.raises(ValueError, match="noise must be learned"):
        train_vae(fixed, models.Encoder(13, 2), x, [0])
    with pytest.raises(ValueError, match="nodes must be"):
        train_vae(model, encoder, x, [0], nodes=0)


def test_training_that_diverges_names_the_seed_and_the_step(x):
    model, encoder = vae("head")
    plan = Plan(steps=50, log_every=10, learning_rate=1e6)
    with pytest.raises(ValueError, match=r"after step \d+ the parameters of seed 9 are not finite"):
        train_vae(model, encoder, x, [9], plan, nodes=3)
