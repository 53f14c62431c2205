"""Generative models: natural parameters, gap direction v and, where known, closed forms."""

from companion.models.boltzmann import BoltzmannMachine
from companion.models.chains.gaussian import GaussianChain
from companion.models.chains.hidden_markov import HiddenMarkov
from companion.models.chains.linear_dynamical import LinearDynamical
from companion.models.chains.markov import MarkovChain
from companion.models.chains.sequences import padded
from companion.models.diffusion import Diffusion
from companion.models.gaussian_process import GaussianProcess
from companion.models.general import GenerativeModel
from companion.models.linear_gaussian import PPCA, FactorAnalysis
from companion.models.mixtures.base import Mixture
from companion.models.mixtures.family import FamilyMixture
from companion.models.mixtures.gaussian import GaussianMixture
from companion.models.sigmoid_belief import DeepSigmoidBeliefNet, SigmoidBeliefNet
from companion.models.sparse.coding import SparseCoding
from companion.models.sparse.inference import EntropyWeights
from companion.models.streams.multi_stream import MultiStream
from companion.models.streams.switched import Switched
from companion.models.topics.lda import LDA
from companion.models.topics.mean_field import MeanFieldTopics
from companion.models.vae.discrete import BernoulliVAE, CategoricalVAE
from companion.models.vae.gaussian import GaussianVAE
from companion.models.vae.hierarchical import HierarchicalVAE
from companion.models.vae.layered import Layered, LayeredEncoder
from companion.models.vae.networks import Encoder
from companion.models.vae.student_t import StudentTVAE
from companion.theory.model import Factor, Model

__all__ = [
    "LDA",
    "PPCA",
    "BernoulliVAE",
    "BoltzmannMachine",
    "CategoricalVAE",
    "DeepSigmoidBeliefNet",
    "Diffusion",
    "Encoder",
    "EntropyWeights",
    "Factor",
    "FactorAnalysis",
    "FamilyMixture",
    "GaussianChain",
    "GaussianMixture",
    "GaussianProcess",
    "GaussianVAE",
    "GenerativeModel",
    "HiddenMarkov",
    "HierarchicalVAE",
    "Layered",
    "LayeredEncoder",
    "LinearDynamical",
    "MarkovChain",
    "MeanFieldTopics",
    "Mixture",
    "Model",
    "MultiStream",
    "SigmoidBeliefNet",
    "SparseCoding",
    "StudentTVAE",
    "Switched",
    "padded",
]
