"""Exponential families: p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η))."""

from companion.families.base import ExponentialFamily
from companion.families.discrete import Bernoulli, Categorical
from companion.families.gaussian import DiagonalGaussian, FullGaussian, SphericalGaussian

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiagonalGaussian",
    "ExponentialFamily",
    "FullGaussian",
    "SphericalGaussian",
]
