"""Generative models: natural parameters, gap direction v and, where known, closed forms."""

from companion.models.general import GenerativeModel
from companion.models.linear_gaussian import PPCA, FactorAnalysis
from companion.models.mixtures.base import Mixture
from companion.models.mixtures.family import FamilyMixture
from companion.models.mixtures.gaussian import GaussianMixture
from companion.models.sigmoid_belief import DeepSigmoidBeliefNet, SigmoidBeliefNet
from companion.models.sparse.coding import SparseCoding
from companion.models.sparse.inference import EntropyWeights
from companion.models.vae.discrete import BernoulliVAE, CategoricalVAE
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.networks import Encoder
from companion.theory.model import Factor, Model

__all__ = [
    "PPCA",
    "BernoulliVAE",
    "CategoricalVAE",
    "DeepSigmoidBeliefNet",
    "Encoder",
    "EntropyWeights",
    "Factor",
    "FactorAnalysis",
    "FamilyMixture",
    "GaussianMixture",
    "GaussianVAE",
    "GenerativeModel",
    "Mixture",
    "Model",
    "SigmoidBeliefNet",
    "SparseCoding",
]
