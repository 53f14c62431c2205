"""Learning: EM, L-BFGS, Newton and Adam, with the identity checked along the way.

Every function returns a :class:`FitResult`, says how it ended, and warns with
:class:`ConvergenceWarning` if it did not reach the gradient norm that was asked for. Progress goes
to the logger ``companion.fit`` at level INFO. :mod:`companion.fit.maximise` has the same methods,
and gradient ascent, for any function of named tensors.
"""

from companion.fit import maximise
from companion.fit.elbo import adam, lbfgs, newton
from companion.fit.expectation import em
from companion.fit.records import SMALL_GRADIENT, ConvergenceWarning, FitResult, Trace

__all__ = [
    "SMALL_GRADIENT",
    "ConvergenceWarning",
    "FitResult",
    "Trace",
    "adam",
    "em",
    "lbfgs",
    "maximise",
    "newton",
]
