"""Stationary points at which the ELBO is *not* the entropy sum, each with its predicted gap.

Every function learns on data that it is given, to a stationary point of what it maximises, and
returns a :class:`Counterexample`: the gap measured there, and the gap that a formula predicts which
uses neither the ELBO nor an entropy of that point.

>>> from companion import datasets
>>> row = without_scale(datasets.iris()[:, 1:2])[1]
>>> row.case, abs(row.gap) > 0.1, abs(row.error) < 1e-12
('N(a, a)', True, True)
"""

from companion.studies.what_breaks.added import biased_mixture, decay, unbiased_pca
from companion.studies.what_breaks.heads import HEADS, check_head
from companion.studies.what_breaks.held import constant_weights, frozen_net, variance_floor
from companion.studies.what_breaks.record import Counterexample, tabulate
from companion.studies.what_breaks.scale import known_noise, poisson, without_scale
from companion.studies.what_breaks.tied import shared_parameters, softplus_encoder, tied_encoder

__all__ = [
    "HEADS",
    "Counterexample",
    "biased_mixture",
    "check_head",
    "constant_weights",
    "decay",
    "frozen_net",
    "known_noise",
    "poisson",
    "shared_parameters",
    "softplus_encoder",
    "tabulate",
    "tied_encoder",
    "unbiased_pca",
    "variance_floor",
    "without_scale",
]
