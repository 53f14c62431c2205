"""Families of distributions, nearly all exponential: p(x | η) = h(x) exp(⟨η, T(x)⟩ − A(η))."""

from companion.families.base import ExponentialFamily as ExponentialFamily
from companion.families.base import Family as Family
from companion.families.bernoulli import Bernoulli as Bernoulli
from companion.families.beta import Beta as Beta
from companion.families.categorical import Categorical as Categorical
from companion.families.categorical import CategoricalProduct as CategoricalProduct
from companion.families.categorical import Multinomial as Multinomial
from companion.families.custom import Custom as Custom
from companion.families.gamma import Exponential as Exponential
from companion.families.gamma import Gamma as Gamma
from companion.families.gamma import GammaFixedShape as GammaFixedShape
from companion.families.gaussian import DiagonalGaussian as DiagonalGaussian
from companion.families.gaussian import FullGaussian as FullGaussian
from companion.families.gaussian import SphericalGaussian as SphericalGaussian
from companion.families.gaussian_mean import GaussianMean as GaussianMean
from companion.families.geometric import Geometric as Geometric
from companion.families.geometric import NegativeBinomial as NegativeBinomial
from companion.families.inverse_gaussian import InverseGaussian as InverseGaussian
from companion.families.laplace import Laplace as Laplace
from companion.families.laplace import ZeroLaplace as ZeroLaplace
from companion.families.log_normal import LogNormal as LogNormal
from companion.families.poisson import Poisson as Poisson
from companion.families.student_t import StudentT as StudentT
from companion.families.von_mises import VonMises as VonMises

#: One of each family that has coordinates of its own, with values for what it holds fixed: what
#: tables, mixtures, tempering and tests go through.
EVERY_FAMILY: tuple[Family, ...] = (
    Bernoulli(),
    Categorical(),
    CategoricalProduct(groups=2),
    Multinomial(trials=6),
    Poisson(),
    Geometric(),
    NegativeBinomial(successes=2.5),
    Exponential(),
    Gamma(),
    GammaFixedShape(shape=2.5),
    InverseGaussian(),
    LogNormal(),
    Beta(),
    VonMises(),
    ZeroLaplace(),
    Laplace(),
    StudentT(),
)
