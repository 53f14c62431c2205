"""Families of distributions, nearly all exponential: p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η))."""

from companion.families.base import ExponentialFamily, Family
from companion.families.bounded import Beta, VonMises
from companion.families.counts import Geometric, Multinomial, NegativeBinomial, Poisson
from companion.families.custom import Custom
from companion.families.discrete import Bernoulli, Categorical, CategoricalProduct
from companion.families.gaussian import (
    DiagonalGaussian,
    FullGaussian,
    GaussianMean,
    SphericalGaussian,
)
from companion.families.laplace import ZeroLaplace
from companion.families.location_scale import Laplace, StudentT
from companion.families.positive import (
    Exponential,
    Gamma,
    GammaFixedShape,
    InverseGaussian,
    LogNormal,
)

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "CategoricalProduct",
    "Custom",
    "DiagonalGaussian",
    "Exponential",
    "ExponentialFamily",
    "Family",
    "FullGaussian",
    "Gamma",
    "GammaFixedShape",
    "GaussianMean",
    "Geometric",
    "InverseGaussian",
    "Laplace",
    "LogNormal",
    "Multinomial",
    "NegativeBinomial",
    "Poisson",
    "SphericalGaussian",
    "StudentT",
    "VonMises",
    "ZeroLaplace",
]
