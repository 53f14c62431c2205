"""Families that can't be tempered: nothing in them is free to set their scale."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import gammaln
from scipy.stats import poisson as scipy_poisson
from torch import Tensor

from companion import fit
from companion.families import Poisson, SphericalGaussian
from companion.models import Encoder, GaussianVAE
from companion.studies.what_breaks.record import Counterexample, climb
from companion.theory.elbo import entropy_sum
from companion.theory.terms import expectation
from companion.theory.variational import gauss_hermite

__all__ = ["known_noise", "poisson", "without_scale"]


def without_scale(x: Tensor) -> list[Counterexample]:
    """N(μ, 1), N(a, a) and N(a, a²), learned on one column ``x``, ``(N, 1)``, of positive mean.

    With mean m and variance s² of the data the gaps are (1 − s²)/2, m − a and (m − a)/(2a), where
    a is the positive root of a² + a = m² + s², and of a² + ma = m² + s².
    """
    m, s2 = float(x.mean()), float(x.var(correction=0))
    second = m * m + s2
    linear = (math.sqrt(1 + 4 * second) - 1) / 2
    square = (math.sqrt(m * m + 4 * second) - m) / 2
    return [
        _one_gaussian("N(μ, 1)", x, torch.ones_like, (1 - s2) / 2),
        _one_gaussian("N(a, a)", x, lambda a: a, m - linear),
        _one_gaussian("N(a, a²)", x, lambda a: a * a, (m - square) / (2 * square)),
    ]


def _one_gaussian(
    case: str, x: Tensor, variance: Callable[[Tensor], Tensor], predicted: float
) -> Counterexample:
    family = SphericalGaussian()

    def natural(a: Tensor) -> Tensor:
        return family.natural_parameters(a.reshape(1), variance(a))

    end, norm = climb(lambda p: family.log_prob(x, natural(p["a"])).mean(), {"a": 0.8 * x.mean()})
    eta = natural(end["a"])
    gap = family.log_prob(x, eta).mean() + family.entropy(eta)
    return Counterexample(case, float(gap), predicted, norm)


def poisson(case: str, x: Tensor) -> Counterexample:
    """One Poisson distribution with its true entropy, learned on counts ``x``, ``(N, 1)``.

    The gap is (1/N) Σ_n log h(x_n) − E_p[log h] with the base measure h(x) = 1/x!.
    """
    family = Poisson()
    end, norm = climb(
        lambda p: family.log_prob(x, p["log_rate"]).mean(),
        {"log_rate": torch.zeros(1, dtype=x.dtype)},
    )
    gap = family.log_prob(x, end["log_rate"]).mean() + family.entropy_by_summation(end["log_rate"])
    rate = float(end["log_rate"].exp())
    k = np.arange(int(rate + 40 * math.sqrt(rate) + 60))  # all counts that matter
    model_side = scipy_poisson.pmf(k, rate) @ gammaln(k + 1)
    return Counterexample(case, float(gap), float(model_side - gammaln(x.numpy() + 1).mean()), norm)


def known_noise(
    case: str, x: Tensor, hidden: tuple[int, ...], variance: float, seed: int
) -> Counterexample:
    """A VAE-0, x | z ~ N(μ(z), σ²I) with σ² given, its entropies true ones; one latent.

    The gap is (D/2)(1 − r/σ²), with r the mean squared residual of the reconstruction under q.

    Parameters
    ----------
    case
        Its name in the table.
    x
        Data, ``(N, D)``.
    hidden
        Sizes of the decoder's hidden layers.
    variance
        σ².
    seed
        Draws the start.
    """
    generator = torch.Generator().manual_seed(seed)
    size = x.shape[-1]
    model = GaussianVAE(size, 1, hidden, noise_type="fixed", variance=variance)
    encoder = Encoder(size, 1)
    start = model.initial_parameters(generator)
    rule = gauss_hermite(1, 20)
    q = encoder.posterior(encoder.initial_parameters(generator), x, rule)
    rough = fit.lbfgs(model, start, q, x, tolerance=1e-3)
    end = fit.newton(model, rough.parameters, rough.q, x, tolerance=1e-10)
    assert end.q is not None  # the data are in memory
    true = float(entropy_sum(model, end.parameters, end.q, x, form="true").total)
    z, weights = end.q.nodes()
    mean = model.decode(end.parameters, z)
    residual = float(expectation(weights, ((x[:, None] - mean) ** 2).mean(-1)))
    predicted = size / 2 * (1 - residual / variance)
    return Counterexample(case, end.final.elbo - true, predicted, end.gradient_norm)
