"""Small real data of every kind, for the entries of the catalogue."""

from __future__ import annotations

import torch
from torch import Tensor

from companion import datasets, families, models

__all__ = ["DATA_OF", "samples"]

#: Which data each family of a mixture is shown with, by name.
DATA_OF: dict[type[families.Family], str] = {
    families.Bernoulli: "bits",
    families.Categorical: "kinds",
    families.CategoricalProduct: "pairs",
    families.Multinomial: "passages",
    families.Poisson: "counts",
    families.Geometric: "counts",
    families.NegativeBinomial: "counts",
    families.Exponential: "sizes",
    families.Gamma: "sizes",
    families.GammaFixedShape: "sizes",
    families.InverseGaussian: "sizes",
    families.LogNormal: "sizes",
    families.Beta: "proportions",
    families.VonMises: "angles",
    families.ZeroLaplace: "pixels",
    families.Laplace: "pixels",
    families.StudentT: "pixels",
}


def samples() -> dict[str, Tensor]:
    """Small real data of every kind, by name."""
    bits = datasets.digits(binary=True)[:60][:, [18, 20, 28, 36, 43]]
    width = datasets.iris()[:, 3]
    kinds = (width[:, None] > torch.tensor([0.8, 1.7], dtype=width.dtype)).sum(1)
    first_two = torch.cat([torch.stack([1 - b, b], 1) for b in bits[:, :2].T], 1)
    wine = datasets.wine(standardize=True)[::3]
    quakes, flows = datasets.earthquakes(), (datasets.nile() - 900) / 150
    return {
        "bits": bits,
        "kinds": torch.nn.functional.one_hot(kinds, 3).to(torch.float64),
        "pairs": first_two,
        "passages": datasets.word_counts(words=3)[::4],
        "counts": datasets.word_counts(words=2)[::4, :2],
        "sizes": datasets.cell_sizes()[::4],
        "proportions": datasets.petal_proportions()[:, :2],
        "angles": datasets.orientations(300),
        "pixels": datasets.image_patches(200, size=2)[:, :2],
        "flowers": datasets.iris(standardize=True)[:, [0, 3]],
        "wine": wine[:, [0, 4, 6, 9, 11]],
        "quakes": models.padded(quakes.split(40)),
        "flows": models.padded(flows.split(40)),
        "phenols": wine[::2, [5, 6, 8, 10, 11]],
    }
