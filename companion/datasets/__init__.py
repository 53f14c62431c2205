"""Real data that need no network, seeded synthetic data, manifolds, downloads, and your own files.

All are float64 tensors of shape (N, D).
"""

from companion.datasets.large.celeba import celeba
from companion.datasets.large.mnist import mnist
from companion.datasets.large.sample import mnist_sample
from companion.datasets.large.susy import susy
from companion.datasets.manifolds import (
    circle,
    cosine,
    eight_gaussians,
    lemniscate,
    manifold,
    spiral,
    swiss_roll,
)
from companion.datasets.own import images, table
from companion.datasets.packaged import (
    breast_cancer,
    cell_sizes,
    digits,
    image_patches,
    iris,
    most_frequent_words,
    orientations,
    petal_proportions,
    wine,
    word_counts,
    word_frequencies,
)
from companion.datasets.series import earthquakes, nile
from companion.datasets.synthetic import bars, pca, pca_ring
from companion.support.blocks import Blocks

__all__ = [
    "Blocks",
    "bars",
    "breast_cancer",
    "celeba",
    "cell_sizes",
    "circle",
    "cosine",
    "digits",
    "earthquakes",
    "eight_gaussians",
    "image_patches",
    "images",
    "iris",
    "lemniscate",
    "manifold",
    "mnist",
    "mnist_sample",
    "most_frequent_words",
    "nile",
    "orientations",
    "pca",
    "pca_ring",
    "petal_proportions",
    "spiral",
    "susy",
    "swiss_roll",
    "table",
    "wine",
    "word_counts",
    "word_frequencies",
]
