"""Learning: EM, L-BFGS, Newton and Adam, with the identity checked along the way.

Every function returns a :class:`FitResult`, says how it ended, and warns with
:class:`ConvergenceWarning` if it did not reach the gradient norm that was asked for. Progress goes
to the logger ``companion.fit`` at level INFO. :func:`em_steps` is EM alone, without the checks, for
large data.
"""

from companion.fit.ascent import adam, lbfgs, newton
from companion.fit.expectation import EMRun, em, em_steps
from companion.fit.records import ConvergenceWarning, FitResult, Trace

__all__ = [
    "ConvergenceWarning",
    "EMRun",
    "FitResult",
    "Trace",
    "adam",
    "em",
    "em_steps",
    "lbfgs",
    "newton",
]
