"""Generative models: natural parameters, gap direction v and, where known, closed forms."""

from companion.model import Factor, Model
from companion.models.deep_sigmoid_belief import DeepSigmoidBeliefNet
from companion.models.discrete_vae import BernoulliVAE, CategoricalVAE
from companion.models.family_mixture import FamilyMixture
from companion.models.gaussian_mixture import GaussianMixture
from companion.models.general import GenerativeModel
from companion.models.linear_gaussian import PPCA, FactorAnalysis
from companion.models.mixtures import Mixture
from companion.models.sigmoid_belief import SigmoidBeliefNet
from companion.models.sparse_coding import SparseCoding
from companion.models.sparse_inference import EntropyWeights
from companion.models.vae import Encoder, GaussianVAE

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
