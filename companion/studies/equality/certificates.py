"""Three bounds on the gap by the gradient, along a trace of learning."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion.fit import Trace

__all__ = ["certificates"]


def certificates(trace: Trace) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Bounds on |gap| at every logged step, by name, from tight to loose.

    With g the gradient of the ELBO and g_v its entries where v is not zero: Σ_b ‖g_b‖ ‖v_b‖ over
    the parameters b, ‖g_v‖ ‖v‖, and ‖g‖ ‖v‖, by the inequality of Cauchy and Schwarz. All three
    depend on the coordinates of the parameters; the gap does not.

    Source: this companion.

    >>> from companion import datasets, models, verify
    >>> model, x = models.PPCA(observed=4, latent=2), datasets.iris()
    >>> report = verify(model, model.maximum_likelihood(x), None, x)
    >>> [len(values) for values in certificates(Trace((0,), (report,))).values()]
    [1, 1, 1]
    """
    blocks, on_v, whole = [], [], []
    for record in trace.records:
        gradients, steps = zip(*record.norms.values(), strict=True)
        length = math.hypot(*steps)
        blocks.append(record.certificate)
        on_v.append(math.hypot(*gradients) * length)
        whole.append(record.gradient_norm * length)
    names = ("block by block", "‖g on v‖ ‖v‖", "‖g‖ ‖v‖")
    return {name: np.array(v) for name, v in zip(names, (blocks, on_v, whole), strict=True)}
