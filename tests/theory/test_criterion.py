"""The checker of the parameterization criterion: what passes, what fails, what it can't tell."""

from __future__ import annotations

import math

import pytest
import torch

from companion import check_criterion, models
from companion.families.numerics import softplus
from companion.theory.criterion import TOLERANCE, sufficient_subsets
from tests.cases import D, H, draw, generator, names, perturbed, point

Z = draw(60, 2, g=generator("nodes"))


def head_parameters(*extra):
    """A linear mean head, a linear variance head, and scalars named in ``extra``."""
    g = generator("heads")
    parameters = {
        "W": draw(3, 2, g=g),
        "b": draw(3, g=g),
        "A": draw(3, 2, g=g),
        "c": draw(3, g=g),
    }
    return parameters | {name: draw(g=g) for name in extra}


def gaussian_heads(variance):
    """η(z) of N(Wz + b, variance(a(z))) with the linear head a = Az + c."""

    def natural(p, z):
        mean, s2 = z @ p["W"].T + p["b"], variance(z @ p["A"].T + p["c"], p)
        return torch.cat([mean / s2, -0.5 / s2], 1)

    return natural


HOLDS = {
    "exp(a)": (lambda a, p: a.exp(), (), {"c": -1.0}),
    "exp(2a)": (lambda a, p: (2 * a).exp(), (), {"c": -0.5}),
    "exp(-a)": (lambda a, p: (-a).exp(), (), {"c": 1.0}),
    "exp(s + 2 tanh a)": (lambda a, p: (p["s"] + 2 * torch.tanh(a)).exp(), ("s",), {"s": -1.0}),
    "(e^s softplus a)^2": (lambda a, p: (p["s"].exp() * softplus(a)) ** 2, ("s",), {"s": -0.5}),
    "scalar": (lambda a, p: p["s"].exp().expand_as(a), ("s",), {"s": -1.0}),
}

FAILS = {
    "softplus(a)": lambda a, p: softplus(a),
    "softplus(a)^2": lambda a, p: softplus(a) ** 2,
    "(softplus(a)+0.01)^2": lambda a, p: (softplus(a) + 0.01) ** 2,
    "1+exp(a)": lambda a, p: 1 + a.exp(),
    "exp(2 tanh a)": lambda a, p: (2 * torch.tanh(a)).exp(),
    "exp(clamp a)": lambda a, p: torch.clamp(a, -1, 1).exp(),
    "fixed": lambda a, p: torch.full_like(a, 0.7),
    "exp(a)+1e-5": lambda a, p: a.exp() + 1e-5,
}


@pytest.mark.parametrize("head", HOLDS)
def test_variance_heads_that_satisfy_the_criterion(head):
    variance, extra, beta = HOLDS[head]
    parameters = head_parameters(*extra)
    result = check_criterion(gaussian_heads(variance), parameters, Z)
    assert result.verdict == "pass" and result.residual <= 1e-11
    assert result.training_residual <= 1e-11
    # The stated direction alone does it, with the stated value.
    name, value = next(iter(beta.items()))
    alone = check_criterion(gaussian_heads(variance), parameters, Z, subset=[name])
    assert alone.verdict == "pass" and alone.subset == (name,)
    expected = torch.full_like(parameters[name], value)
    torch.testing.assert_close(alone.direction[name], expected, rtol=1e-8, atol=1e-9)
    others = [t for k, t in alone.direction.items() if k != name]
    assert all(float(t.abs().max()) == 0 for t in others)
    assert alone.direction.keys() == parameters.keys()


@pytest.mark.parametrize("power", (2, 4, -2))
def test_a_power_of_a_linear_head_needs_the_whole_head(power):
    """σ² = aᵏ: β = −θ/k on the weights and biases of the head, whatever the scale of rows."""
    parameters = head_parameters()
    natural = gaussian_heads(lambda a, p: a**power)
    result = check_criterion(natural, parameters, Z, subset=["A", "c"])
    assert result.verdict == "pass", str(result)
    for name in ("A", "c"):
        torch.testing.assert_close(
            result.direction[name], -parameters[name] / power, rtol=1e-6, atol=1e-8
        )
    assert check_criterion(natural, parameters, Z, subset="c").verdict == "fail"


def test_a_squared_head_that_nearly_vanishes_is_not_rejected():
    """Natural parameters over many orders of magnitude: rows must be scaled to norm one."""
    natural = gaussian_heads(lambda a, p: a**2)
    parameters = head_parameters()
    # Move the bias so that one of the heads is 3e-5 at the first node.
    first = Z[0] @ parameters["A"][0]
    parameters["c"][0] = 3e-5 - first
    eta = natural(parameters, Z)
    assert float(eta.abs().max() / eta.abs().median()) > 1e7
    assert check_criterion(natural, parameters, Z, subset=["A", "c"]).verdict == "pass"


@pytest.mark.parametrize("head", FAILS)
def test_variance_heads_that_miss_the_criterion_are_rejected(head):
    result = check_criterion(gaussian_heads(FAILS[head]), head_parameters(), Z)
    assert result.verdict == "fail", str(result)
    assert result.residual > 100 * TOLERANCE
    assert result.rank < result.equations


def test_near_misses_grow_with_the_offending_term_and_none_is_waved_through():
    residuals = []
    for epsilon in (1e-6, 1e-5, 1e-4, 1e-3):
        natural = gaussian_heads(lambda a, p, epsilon=epsilon: a.exp() + epsilon)
        result = check_criterion(natural, head_parameters(), Z)
        assert result.verdict == "fail"
        residuals.append(result.residual)
    assert residuals == sorted(residuals)
    assert TOLERANCE == 1e-8


def test_without_its_bias_an_exponential_head_fails():
    parameters = head_parameters()
    del parameters["c"]
    fixed = draw(3, g=generator("fixed bias"))

    def natural(p, z):
        mean, s2 = z @ p["W"].T + p["b"], (z @ p["A"].T + fixed).exp()
        return torch.cat([mean / s2, -0.5 / s2], 1)

    assert check_criterion(natural, parameters, Z).verdict == "fail"


# --- the package's models -------------------------------------------------------------------------


def nodes_of(model, name):
    g = generator("nodes of " + name)
    if model.states is not None:
        return model.states.repeat(10, 1)
    return draw(400, H, g=g)


ONE_CASE_EACH = [
    name
    for name in names()
    if not name.startswith(("poisson", "deep-sbn", "tempered", "streams"))
    and name.endswith(("/tabulated", "/full-samples"))
]


#: The joint distribution of an undirected model is no function of z: it counts as a prior, below.
@pytest.mark.parametrize("name", [n for n in ONE_CASE_EACH if "boltzmann" not in n])
def test_every_observable_of_the_package_passes_and_v_is_a_solution(name):
    model, parameters, *_ = point(name)
    factor, z = model.factors[-1], nodes_of(model, name)
    result = check_criterion(factor.natural, parameters, z)
    assert result.verdict == "pass", str(result)
    # v itself solves the equations: for a fixed prior without its part on what reads z.
    v = model.gap_direction(parameters)
    if model.latent_rescaling:
        scales = {"log_variance", "log_variance.bias"} & v.keys()
        v = {k: t if k in scales else 0 * t for k, t in v.items()}
        if not scales:  # logits, or means at a known variance: the last layer itself
            last = "mean" if "mean.bias" in v else "logits"
            v |= {k: parameters[k] for k in (f"{last}.weights", f"{last}.bias")}
    tangent = torch.func.jvp(lambda p: factor.natural(p, z), (parameters,), (v,))[1]
    torch.testing.assert_close(tangent, factor.natural(parameters, z), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [n for n in ONE_CASE_EACH if "-fixed" not in n])
def test_every_learnable_prior_passes(name):
    model, parameters, *_ = point(name)
    prior = model.factors[0]
    z = torch.zeros(1, H, dtype=torch.float64)

    def natural(p):
        return prior.natural(p, z)

    result = check_criterion(natural, parameters)
    assert result.verdict == "pass" and result.equations == len(natural(parameters).reshape(-1))
    v = model.gap_direction(parameters)
    tangent = torch.func.jvp(natural, (parameters,), (v,))[1]
    torch.testing.assert_close(tangent, natural(parameters), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in ONE_CASE_EACH if "-fixed" in n])
def test_every_fixed_gaussian_prior_fails(name):
    model, parameters, *_ = point(name)
    prior, z = model.factors[0], torch.zeros(1, H, dtype=torch.float64)
    result = check_criterion(lambda p: prior.natural(p, z), parameters)
    assert result.verdict == "fail" and result.residual == pytest.approx(1) and result.rank == 0


def test_a_uniform_prior_without_parameters_passes():
    result = check_criterion(lambda p: torch.zeros(3, dtype=torch.float64) * p["a"], {"a": Z[0, 0]})
    assert result.verdict == "pass" and result.residual == 0.0


@pytest.mark.parametrize("hidden", ((), (3,)), ids=str)
def test_the_softplus_vae_of_the_package_fails(hidden):
    g = generator("softplus vae")
    model = models.GaussianVAE(D, H, hidden, noise_type="softplus")
    parameters = perturbed(model.initial_parameters(g), g)
    result = check_criterion(model.factors[-1].natural, parameters, draw(400, H, g=g))
    assert result.verdict == "fail" and result.residual > 1e-4


def test_one_gaussian_with_variance_tied_to_its_mean_fails():
    """N(a, a): η = (1, −1/(2a)); the first entry can't be moved."""
    a = {"a": torch.tensor(1.7, dtype=torch.float64)}
    natural = lambda p: torch.stack([p["a"] / p["a"], -0.5 / p["a"]])  # noqa: E731
    assert check_criterion(natural, a).verdict == "fail"
    # N(a, a²): η = (1/a, −1/(2a²)), entries of different degrees
    natural = lambda p: torch.stack([1 / p["a"], -0.5 / p["a"] ** 2])  # noqa: E731
    assert check_criterion(natural, a).verdict == "fail"
    # N(0, a): passes with β = −a
    result = check_criterion(lambda p: (-0.5 / p["a"])[None], a)
    assert result.verdict == "pass"
    assert float(result.direction["a"]) == pytest.approx(-1.7, rel=1e-12)


# --- held-out nodes, gauge, subsets ---------------------------------------------------------------


def overgrown(p, z):
    """A decoder with fixed variance that has more parameters than equations from few nodes."""
    hidden = torch.tanh(z @ p["U"].T + p["u"])
    mean = hidden @ p["W"].T + p["b"]
    return torch.cat([mean, torch.full_like(mean, -0.5)], 1)


def overgrown_parameters():
    g = generator("overgrown")
    return {
        "U": draw(20, 2, g=g),
        "u": draw(20, g=g),
        "W": draw(2, 20, g=g),
        "b": draw(2, g=g),
    }


def test_too_few_nodes_leave_it_undecided_and_more_decide():
    g = generator("too few")
    p = {"a": draw(12, g=g), "W": draw(2, g=g)}

    def natural(p, z):
        # η = sin of twelve random features: fits any few nodes, but no β serves all of them.
        return torch.sin(z @ p["W"][:, None] + p["a"]).exp().sum(1, keepdim=True)

    few = check_criterion(natural, p, draw(6, 2, g=g))
    assert few.verdict == "undecided" and few.rank == few.equations == 3
    assert few.training_residual < 1e-8 < few.residual
    many = check_criterion(natural, p, draw(200, 2, g=g))
    assert many.verdict == "fail" and many.rank < many.equations


def test_a_fit_on_the_training_nodes_is_not_a_pass():
    """Held-out nodes are what decides: the training residual alone would wave this through."""
    result = check_criterion(overgrown, overgrown_parameters(), Z[:8])
    assert result.verdict != "pass"
    assert result.residual > 0.01


def test_log_softmax_outputs_need_the_gauge():
    """log-softmax of linear logits: the same distribution, η moved along (1, …, 1)."""
    g = generator("gauge")
    p = {"W": draw(4, 2, g=g), "b": draw(4, g=g)}

    def natural(p, z):
        return torch.log_softmax(z @ p["W"].T + p["b"], -1)

    assert check_criterion(natural, p, Z).verdict == "fail"
    result = check_criterion(natural, p, Z, gauge=torch.ones(1, 4))
    assert result.verdict == "pass" and result.residual < 1e-12
    assert check_criterion(natural, p, Z, gauge=torch.ones(4)).verdict == "pass"
    wrong = torch.tensor([1.0, 0, 0, 0])
    assert check_criterion(natural, p, Z, gauge=wrong).verdict == "fail"


def test_the_gauge_does_not_excuse_a_real_failure():
    g = generator("gauge fails")
    p, fixed = {"b": draw(4, g=g)}, draw(4, 2, g=g)
    result = check_criterion(lambda p, z: z @ fixed.T + p["b"], p, Z, gauge=torch.ones(1, 4))
    assert result.verdict == "fail"


def test_the_log_variance_alone_is_found():
    model = models.GaussianVAE(D, H, (3,), noise_type="head")
    g = generator("subsets")
    parameters = perturbed(model.initial_parameters(g), g)
    found = sufficient_subsets(model.factors[-1].natural, parameters, draw(200, H, g=g), largest=2)
    assert [result.subset for result in found] == [("log_variance.bias",)]
    direction = found[0].direction["log_variance.bias"]
    torch.testing.assert_close(direction, -torch.ones_like(direction), rtol=1e-9, atol=0)


def test_subsets_are_judged_on_all_states_where_these_are_all():
    two = {"base": draw(1, g=generator("a")), "step": draw(1, g=generator("b"))}
    states = torch.tensor([[0.0], [1.0]], dtype=torch.float64)

    def natural(p, z):
        return torch.nn.functional.logsigmoid(p["base"] + z * p["step"])

    (found,) = sufficient_subsets(natural, two, states, complete=True)
    assert found.subset == ("base", "step") and found.verdict == "pass"
    assert sufficient_subsets(natural, two, states) == []  # elsewhere it would fail


def test_minimal_subsets_are_minimal():
    model = models.SigmoidBeliefNet(D, H)
    parameters = model.initial_parameters(generator("subsets of an sbn"))
    z = nodes_of(model, "sbn")
    natural = model.factors[-1].natural
    found = sufficient_subsets(natural, parameters, z)
    assert [result.subset for result in found] == [("weights", "bias")]
    assert sufficient_subsets(natural, parameters, z, largest=1) == []


def test_the_result_reads_as_a_table():
    result = check_criterion(gaussian_heads(lambda a, p: a.exp()), head_parameters(), Z, ["c"])
    shown = dict(line.split("  ", 1) for line in str(result).splitlines())
    assert {label: value.strip() for label, value in shown.items()} == {
        "verdict": "pass",
        "relative residual on held-out nodes": f"{result.residual:.1e}",
        "relative residual on the others": f"{result.training_residual:.1e}",
        "relative residual on wider nodes": f"{result.beyond:.1e}",
        "rank": "3 of 180 equations",
        "parameters": "c",
        "method": "dense",
    }


# --- bad arguments --------------------------------------------------------------------------------

LINEAR = {"W": draw(3, 2, g=generator("W")), "b": draw(3, g=generator("b"))}


def linear(p, z):
    return z @ p["W"].T + p["b"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    (
        ((linear, LINEAR, Z, ["V"]), r"subset must name some of \['W', 'b'\]: got \['V'\]"),
        ((linear, LINEAR, Z, []), r"subset must name some of \['W', 'b'\]: got \[\]"),
        ((linear, {}, Z), r"subset must name some of \[\]: got \[\]"),
        ((linear, LINEAR, Z[:1]), r"nodes must have shape \(P, H\) with at least two rows.*\(1, 2"),
        ((linear, LINEAR, Z[:, 0]), r"nodes must have shape \(P, H\) .*got \(60,\)"),
        (
            (linear, {k: v.float() for k, v in LINEAR.items()}, Z),
            r"parameters\['W'\] must be a float64 tensor: got torch.float32",
        ),
        (
            (lambda p, z: linear(p, z).sum(0), LINEAR, Z),
            r"must return one row for each node, \(30, 3\): got shape \(3,\)",
        ),
        (
            (lambda p, z: linear(p, z) / 0, LINEAR, Z),
            "natural_parameters must be finite: found NaN or infinity",
        ),
    ),
    ids=lambda value: "" if isinstance(value, tuple) else value[:24],
)
def test_bad_arguments_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_criterion(*arguments)


def test_nothing_is_changed_by_the_check():
    before = {k: v.clone() for k, v in LINEAR.items()}
    check_criterion(linear, LINEAR, Z)
    assert all(torch.equal(LINEAR[k], before[k]) and not LINEAR[k].requires_grad for k in before)
    assert math.isfinite(check_criterion(linear, LINEAR, Z).residual)


# --- rows that read 0 = 0, and nodes that hardly differ -------------------------------------------


@pytest.mark.parametrize("zero", [("b",), ("a",), ("a", "b"), ("W",), ("W", "b")], ids=str)
def test_natural_parameters_that_are_zero_are_no_misfit(zero):
    def natural(p, z):
        return torch.cat([p["a"].expand(len(z), -1), z @ p["W"].T + p["b"]], 1)

    for seed in range(20):
        g = torch.Generator().manual_seed(seed)
        p = {"a": draw(1, g=g), "W": draw(3, 1, g=g), "b": draw(3, g=g)}
        p |= {name: torch.zeros_like(p[name]) for name in zero}
        nodes = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        for z in (nodes.repeat(10, 1), torch.randint(2, (30, 1), generator=g)):
            result = check_criterion(natural, p, z)
            assert result.verdict == "pass", str(result)
            assert result.residual < 1e-9
        result = check_criterion(natural, p, nodes, complete=True)
        assert result.verdict == "pass" and result.beyond is None


def test_a_row_that_should_be_zero_and_is_not_still_fails():
    g = generator("nearly zero")
    p = {"W": draw(3, 2, g=g), "b": torch.zeros(3, dtype=torch.float64)}
    held = torch.tensor([0.0, 0.0, 1e-6], dtype=torch.float64)
    result = check_criterion(lambda p, z: z @ p["W"].T + p["b"], p, Z)
    assert result.verdict == "pass"
    result = check_criterion(lambda p, z: z @ p["W"].T + held, {"W": p["W"]}, Z)
    assert result.verdict == "fail"


def test_what_a_gauge_leaves_of_nothing_is_nothing():
    p = {"c": torch.tensor([0.3], dtype=torch.float64), "W": draw(1, 2, g=generator("nothing"))}

    def natural(p, z):
        return (z @ p["W"].T + p["c"]).expand(-1, 3) / 3

    assert check_criterion(natural, p, Z, gauge=torch.ones(1, 3)).verdict == "pass"


NARROW = {
    "nodes within 0.01": (0.01 * Z, 0.0),
    "nodes within 0.01, far out": (3 + 0.01 * Z, 0.0),
    "two nodes again and again": (Z[:2].repeat(30, 1), 0.0),
    "one node again and again": (Z[:1].repeat(60, 1), 0.0),
    "a bias of -30": (Z, -30.0),
}


@pytest.mark.parametrize("case", NARROW)
@pytest.mark.parametrize("head", ["softplus(a)", "softplus(a)^2", "(softplus(a)+0.01)^2"])
def test_nodes_that_hardly_differ_prove_nothing(case, head):
    nodes, bias = NARROW[case]
    parameters = head_parameters()
    parameters["c"] = parameters["c"] + bias
    result = check_criterion(gaussian_heads(FAILS[head]), parameters, nodes)
    assert result.verdict in ("undecided", "fail"), str(result)
    if result.verdict == "undecided":
        assert result.residual <= TOLERANCE and result.beyond > 1e-3
        assert "wider nodes" in str(result)


@pytest.mark.parametrize("case", NARROW)
@pytest.mark.parametrize("head", HOLDS)
def test_a_right_head_passes_on_narrow_nodes_too(case, head):
    nodes, bias = NARROW[case]
    variance, extra, _ = HOLDS[head]
    parameters = head_parameters(*extra)
    parameters["c"] = parameters["c"] + bias
    result = check_criterion(gaussian_heads(variance), parameters, nodes)
    assert result.residual <= TOLERANCE
    saturated = head == "exp(s + 2 tanh a)" and bias == -30
    assert result.verdict == "pass" or saturated, str(result)


def test_the_domain_of_z_is_respected():
    """What is not finite outside of it, or refused there, says nothing about it."""
    positive = Z.abs() + 0.1
    p = {"w": draw(2, g=generator("domain")), "b": draw(g=generator("domain, bias"))}

    def with_logarithms(p, z):
        return (z.log() @ p["w"] + p["b"])[:, None]

    assert check_criterion(with_logarithms, p, positive).verdict == "pass"
    states = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    table = {"rows": draw(3, 2, g=generator("table"))}
    result = check_criterion(lambda p, z: p["rows"][z[:, 0].long()], table, states.repeat(9, 1))
    assert result.verdict == "pass"


@pytest.mark.parametrize(
    ("natural", "parameters", "sentence"),
    [
        (lambda p, z: (z @ p["W"].T,), LINEAR, "must return one tensor: got tuple"),
        (lambda p, z: z @ p[0].T, [LINEAR["W"]], "parameters must be a dictionary: got list"),
        (
            lambda p, z: torch.nn.functional.dropout(linear(p, z)),
            LINEAR,
            "without random numbers and changes in place",
        ),
        (lambda p, z: linear(p, z), LINEAR | {"W": 1.0}, r"parameters\['W'\] must be a float64"),
    ],
    ids=["tuple", "list", "dropout", "number"],
)
def test_functions_that_cannot_be_checked_are_refused(natural, parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_criterion(natural, parameters, Z)


def test_batch_norm_in_training_mode_is_refused_and_works_in_evaluation_mode():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    net.double()
    p = {name: value.detach() for name, value in net.named_parameters()}

    def natural(p, z):
        return torch.func.functional_call(net, p, (z,))

    with pytest.raises(ValueError, match="batch norm and dropout in evaluation mode"):
        check_criterion(natural, p, Z)
    net.eval()
    assert check_criterion(natural, p, Z).verdict == "pass"
    assert check_criterion(natural, p, Z.numpy()).verdict == "pass"
