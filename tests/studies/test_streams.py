"""Superimposed digits as they are drawn, entropies of switches two ways, and learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from companion import models, variational
from companion.studies.streams.digits import entropies_of_switches, superimposed, watched
from tests.cases import draw, generator


def test_images_are_sums_of_digits_of_their_kind_in_noise():
    data = superimposed((3, 5), 200, 0.1, few=10, seed=1)
    labels, images = load_digits().target, load_digits().data / 16
    for kind, digit in ((3, 0), (5, 1)):
        known = {tuple(row) for row in images[labels == kind]}
        assert {tuple(row) for row in data.digits[:, digit].numpy()} <= known
        rest = known - {tuple(row) for row in data.digits[:, digit].numpy()}
        assert len(rest) >= 10  # those of the mean are in no image
    noise = data.x - (data.switches[..., None] * data.digits).sum(1)
    assert float(noise.abs().mean()) == pytest.approx(0.1, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert set(data.switches.flatten().tolist()) == {0.0, 1.0}
    assert float(data.switches.mean()) == pytest.approx(0.5, abs=0.1)
    again = superimposed((3, 5), 200, 0.1, few=10, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(data, again, strict=True))
    assert not torch.equal(data.x, superimposed((3, 5), 200, 0.1, seed=2).x)


@pytest.mark.parametrize("independent", (True, False))
def test_entropies_of_switches_differ_by_what_latents_tell_of_them(independent):
    g = generator("switches")
    latents = variational.Gaussian(draw(5, 2, g=g), draw(5, 2, g=g).exp())
    logits = draw(5, 1 if independent else 4, 4, g=g).expand(5, 4, 4)
    q = models.Switched(latents, logits.clone())
    given, averaged, information = entropies_of_switches(q)
    torch.testing.assert_close(given, q.entropy() - latents.entropy(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(averaged - given, information, rtol=1e-10, atol=1e-14)
    assert float(information.abs().max()) < 1e-13 if independent else information.min() > 0.01


def test_learning_is_watched_by_the_identity_and_repeats():
    data = superimposed((0, 1), 60, 0.1, seed=0)
    model, encoder = models.MultiStream(64, 1, 2, (4,)), models.Encoder(64, 2, (4,))
    start = model.initial_parameters(generator("start"))
    seen, again = (watched(model, encoder, start, data.x, 12, 5, seed=3) for _ in range(2))
    assert seen.steps == [0, 5, 10, 12]
    assert max(report.relative_residual for report in seen.reports) < 1e-13
    assert seen.reports[-1].elbo > seen.reports[0].elbo + 5
    given, averaged, _ = entropies_of_switches(seen.q)
    assert seen.excess[-1] == pytest.approx(float((averaged - given).mean()), rel=1e-12)
    for name, value in seen.parameters.items():
        assert torch.equal(value, again.parameters[name])
        assert not value.requires_grad
    assert not np.isclose(seen.excess[0], seen.excess[-1])
