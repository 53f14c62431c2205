"""Exponential families: p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η))."""

from companion.families.base import ExponentialFamily
from companion.families.discrete import Bernoulli, Categorical, CategoricalProduct
from companion.families.gaussian import (
    DiagonalGaussian,
    FullGaussian,
    GaussianMean,
    SphericalGaussian,
)
from companion.families.laplace import ZeroLaplace

__all__ = [
    "Bernoulli",
    "Categorical",
    "CategoricalProduct",
    "DiagonalGaussian",
    "ExponentialFamily",
    "FullGaussian",
    "GaussianMean",
    "SphericalGaussian",
    "ZeroLaplace",
]
