"""Live figures: their formulas are the package's, and keys alone work them."""

import math

import pytest
import torch

from companion import models, variational, verify, verify_module
from companion.studies.at_a_glance.plane import Plane
from companion.studies.own_elbo import usual_vae
from companion.studies.temperature.tempering import tempered_elbo
from tests.web import sizes

pytestmark = pytest.mark.web
CHAPTER = "notebooks/entropy-sums-at-a-glance.html"
DATA = """kind => JSON.parse(document.querySelector(
  `script.companion-live[data-figure="${kind}"]`).textContent)"""


@pytest.fixture
def page(open_page):
    return lambda name: open_page(name, viewport=sizes.SCREEN, reduced_motion="reduce")


def plane_of(data):
    """The chapter's model on two columns whose covariance has the eigenvalues of the data."""
    u = torch.full((2, 1), 0.5, dtype=torch.float64).sqrt()
    across = torch.tensor([[0.5], [-0.5]], dtype=torch.float64).sign() * u
    scales = torch.tensor([data["along"], data["across"]], dtype=torch.float64).sqrt()
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    x = (corners * scales) @ torch.cat([u, across], 1).T
    zero = torch.zeros((), dtype=torch.float64)
    origin = {"weights": 0 * u, "mean": x.mean(0), "log_variance": zero}
    model = models.PPCA(observed=2, latent=1)
    return Plane(model, x, origin, first={"weights": u}, second={"log_variance": zero + 1})


def test_the_plane_shows_what_the_package_computes(page):
    open_page = page(CHAPTER)
    data = open_page.evaluate(DATA, "plane")
    plane = plane_of(data)
    draws = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for w, b in (draws * torch.tensor([5.2, 4.2]) - torch.tensor([2.6, 3.0])).tolist():
        shown = open_page.evaluate(
            "([data, w, b]) => companionFormulas.plane(data, { w, b })", [data, w, b]
        )
        parameters = plane.parameters(w, b)
        report = verify(
            plane.model, parameters, plane.model.posterior(parameters, plane.x), plane.x
        )
        expected = {
            "elbo": report.elbo, "entropySum": report.entropy_sum, "gap": report.gap,
            "slope": report.slope, "posterior": report.posterior_entropy,
            "prior": report.prior_entropy, "observable": report.observable_entropy,
        }  # fmt: skip
        assert {name: shown[name] for name in expected} == pytest.approx(expected, rel=1e-9)
        gradient = plane.evaluate(w, b).gradient
        assert shown["gradient"] == pytest.approx(gradient.tolist(), rel=1e-9)
        # The top of a walk along v: there ELBO and sum are equal.
        t = shown["top"]
        top = plane.evaluate(w * 2.718281828459045 ** (-t / 2), b - t)
        assert float(top.gap) == pytest.approx(0, abs=1e-9)


def test_the_choice_of_eigenvectors_shows_what_the_package_computes(page):
    open_page = page("notebooks/probabilistic-pca.html")
    data = open_page.evaluate(DATA, "eigen")
    eigenvalues = torch.tensor(data["eigenvalues"], dtype=torch.float64)
    count = len(eigenvalues)
    axes = torch.cat([torch.eye(count), -torch.eye(count)]).double()
    x = axes * eigenvalues.sqrt() * count**0.5
    model = models.PPCA(observed=count, latent=data["latent"])
    for chosen in ([0, 1], [0, 2], [1, 2], [2, 3], [0], [3], []):
        shown = open_page.evaluate("([d, c]) => companionFormulas.eigen(d, c)", [data, chosen])
        point = model.stationary_point(x, chosen)
        report = verify(model, point, model.posterior(point, x), x)
        assert shown["exists"] and shown["best"] == (chosen == [0, 1])
        assert shown["elbo"] == pytest.approx(report.elbo, rel=1e-9)
        assert shown["entropySum"] == pytest.approx(report.entropy_sum, rel=1e-9)
        assert shown["noise"] == pytest.approx(float(point["log_variance"].exp()), rel=1e-9)
    with pytest.raises(ValueError, match="noise"):
        model.stationary_point(x, [count - 1])
    assert not open_page.evaluate(
        "([d, c]) => companionFormulas.eigen(d, c).exists", [data, [count - 1]]
    )


def test_the_weight_shows_what_the_package_computes(page):
    open_page = page("notebooks/is-my-elbo-right.html")
    shown = open_page.evaluate(DATA, "weight")
    torch.manual_seed(0)
    x = torch.rand(30, 6, dtype=torch.float64)
    vae = usual_vae.UsualVAE(observed=6, latent=2).double()
    mean, log_variance = (part.detach() for part in vae.encode(x))

    def checked(beta):
        weighted = type("Weighted", (usual_vae.LeftoverBeta,), {"beta": beta})
        return verify_module(
            usual_vae.planted(vae, weighted), lambda m: m.elbo(x),
            lambda m: usual_vae.entropy_sum(m, x), usual_vae.direction,
        )  # fmt: skip

    right = checked(1.0)
    data = {
        "elbo": right.elbo, "sum": right.entropy_sum,
        "kl": float(vae.kl(mean, mean, log_variance).mean()),
        "logTau": float(log_variance.sum(-1).mean()) / 2,
    }  # fmt: skip
    assert shown.keys() == data.keys()
    for beta in torch.linspace(0, 2, 20).tolist():
        found = open_page.evaluate("([d, b]) => companionFormulas.weight(d, b)", [data, beta])
        report = checked(beta)
        expected = {
            "elbo": report.elbo, "entropySum": report.entropy_sum, "gap": report.gap,
            "slope": report.slope, "residual": report.gap - report.slope,
        }  # fmt: skip
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_temperature_shows_what_the_package_computes(page):
    open_page = page("notebooks/temperature.html")
    moments = open_page.evaluate(DATA, "temperature")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 4, dtype=torch.float64, generator=generator)
    mixture = models.GaussianMixture(4, components=3, covariance_type="diagonal")
    point = mixture.initial_parameters(generator)
    table = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    q = variational.Tabulated(mixture.states, table)
    weights, log_variance = q.probabilities, point["log_variance"]
    squares = (x[:, None] - point["means"]) ** 2 / log_variance.exp()
    data = {
        "posterior": float(q.entropy().mean()), "size": 4,
        "logits": point["prior_logits"].tolist(), "shares": weights.mean(0).tolist(),
        "scale": -0.5 * float((weights.mean(0) @ (log_variance + math.log(2 * math.pi))).sum()),
        "stretch": -0.5 * float((weights[..., None] * squares).sum((1, 2)).mean()),
    }  # fmt: skip
    assert all(shown.keys() == data.keys() for shown in moments.values())
    for t in torch.linspace(0.3, 2, 20, dtype=torch.float64).tolist():
        found = open_page.evaluate("([d, t]) => companionFormulas.temperature(d, t)", [data, t])
        cooled = point | {
            "prior_logits": t * point["prior_logits"], "log_variance": log_variance - math.log(t)
        }  # fmt: skip
        report = verify(mixture, cooled, q, x)
        expected = {
            "elbo": float(tempered_elbo(mixture, point, q, x, t)), "gap": report.gap,
            "entropySum": report.entropy_sum, "slope": report.slope,
        }  # fmt: skip
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    # The chapter's own data: at rest after learning, too warm before.
    before, after = (
        open_page.evaluate("d => companionFormulas.temperature(d, 1)", moments[name])
        for name in ("at the start", "after learning")
    )
    assert before["gap"] > 0.5 and abs(after["gap"]) < 1e-6


def test_keys_alone_change_the_temperature(page):
    open_page = page("notebooks/temperature.html")
    said = open_page.locator(".companion-said")
    assert "t = 1.00, at the start: too warm" in said.inner_text()
    open_page.get_by_role("combobox", name="parameters").select_option("after learning")
    assert "the tangent is level" in said.inner_text()
    open_page.get_by_role("slider", name="inverse temperature t").focus()
    for _ in range(20):
        open_page.keyboard.press("ArrowRight")
    assert "t = 1.20, after learning: too cold" in said.inner_text()


def test_keys_alone_change_the_weight(page):
    open_page = page("notebooks/is-my-elbo-right.html")
    slider = open_page.get_by_role("slider", name="weight β")
    slider.focus()
    for _ in range(50):
        open_page.keyboard.press("ArrowRight")
    said = open_page.locator(".companion-said")
    assert "This is the ELBO" in said.inner_text()
    open_page.keyboard.press("ArrowLeft")
    assert "β = 0.99" in said.inner_text() and "nats are left" in said.inner_text()


def test_keys_alone_move_the_point_and_press_the_buttons(page):
    open_page = page(CHAPTER)
    handle = open_page.locator(".companion-handle")
    handle.focus()
    before = handle.get_attribute("aria-valuetext")
    open_page.keyboard.press("ArrowRight")
    open_page.keyboard.press("ArrowUp")
    moved = handle.get_attribute("aria-valuetext")
    assert before != moved and "w = −1.56" in moved
    said = open_page.locator(".companion-said")
    for name, words in (
        ("walk along v", "equal, but learning is not at rest"),
        ("learn", "learning is at rest here"),
        ("go to the saddle", "learning is at rest here"),
    ):
        open_page.get_by_role("button", name=name).press("Enter")
        assert words in said.inner_text()
    assert "w = 0.00, σ² = 1.00" in said.inner_text()


def test_without_scripts_and_on_paper_the_picture_stays(site, serve, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(serve(site) + CHAPTER)
    still = page.locator("figure img[alt^='Two maps']")
    assert still.is_visible() and page.locator(".companion-handle").count() == 0
    context.close()
    page = browser.new_page()
    page.goto(serve(site) + CHAPTER)
    still = page.locator("figure img[alt^='Two maps']")
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible() and not page.locator(".companion-handle").is_visible()
    page.close()
