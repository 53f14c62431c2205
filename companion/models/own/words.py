"""What weights mean, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

__all__ = ["SAMPLE_WORDS", "SUBJECTS", "factor", "sum_of"]

SUBJECTS = {
    "recon": "reconstruction term",
    "kl": "KL divergence",
    "sq": "squared error",
    "lv": "log-variance of the noise",
    "mu2": "squared mean in the KL divergence",
    "tau2": "variance τ² in the KL divergence",
    "log": "log-variance log τ² in the KL divergence",
    "ps": "log-variance of the prior in the KL divergence",
}

#: How z was made, if not as it should.
SAMPLE_WORDS = {
    "μ": "The decoder gets the mean μ, not a sample μ + τε: no noise is added.",
    "μ + τ²ε": "The sample is μ + τ²ε, not μ + τε: a variance stands for a standard deviation.",
    "μ + √τ ε": "The sample is μ + √τ ε, not μ + τε: the log-variance was halved once too often.",
    "μ + log τ² ε": "The sample is μ + log τ² ε, not μ + τε: the log-variance stands for τ.",
    "ε": "The sample is drawn from the prior N(0, I), not from q: the encoder is not used.",
    "μ + ε": "The sample is μ + ε, not μ + τε: the standard deviation is missing.",
    "μ − τε": "The sample is μ − τε with the ε drawn: the same in distribution.",
    "μ + ½τε": "The sample is μ + ½τε, not μ + τε.",
}


def factor(ratio: float, sizes: Mapping[str, int], tolerance: float) -> str:
    """A ratio, with what it probably comes from.

    >>> factor(0.25, {"latents": 4, "observables": 64, "points": 100}, 1e-6)
    '1/H = 0.25 times what it should be (averaged over the 4 latents?)'
    >>> factor(0.0, {}, 1e-6)
    'missing'
    """
    if abs(ratio) <= tolerance:
        return "missing"
    h, d, n = (sizes.get(name, 1) for name in ("latents", "observables", "points"))
    over = {
        "1/H": (1 / h, f"averaged over the {h} latents"),
        "1/D": (1 / d, f"averaged over the {d} observables"),
        "2/D": (2 / d, f"½ forgotten, averaged over the {d} observables"),
        "H": (h, f"the others averaged over the {h} latents"),
        "D": (d, f"the other averaged over the {d} observables"),
        "D/2": (d / 2, f"the other averaged over the {d} observables, ½ forgotten"),
        "H/D": (h / d, "averages for sums"),
        "D/H": (d / h, "averages for sums"),
        "2H/D": (2 * h / d, "averages for sums, ½ forgotten"),
        "D/2H": (d / (2 * h), "averages for sums, ½ forgotten"),
        "1/N": (1 / n, f"divided once too often by the {n} data points"),
        "N": (n, f"summed over the {n} data points, where the other is averaged"),
        "1/(ND)": (1 / (n * d), f"averaged over {n} data points and {d} observables"),
        "1/(NH)": (1 / (n * h), f"averaged over {n} data points and {h} latents"),
        "ND": (n * d, f"the other averaged over {n} data points and {d} observables"),
        "N/D": (n / d, "summed over the data points, averaged over the observables"),
        "D/N": (d / n, "averaged over the data points, summed over the observables"),
    }
    fitting = [
        (name, value, why)
        for name, (value, why) in (_PLAIN | (over if sizes else {})).items()
        if value != 1 and abs(ratio - value) <= tolerance * abs(value)
        if name in _PLAIN or "N" not in name or "points" in sizes
    ]
    if not fitting:
        return f"{ratio:.6g} times what it should be"
    names = [name for name, _, _ in fitting if name not in _PLAIN]
    shown = f"{names[0]} = {ratio:.4g}" if names else fitting[0][0]
    if "−1" in shown:
        return "−1 times what it should be: its sign is wrong"
    reasons = " or ".join(why for *_, why in fitting[:3])
    return f"{shown} times what it should be ({reasons}?)"


_PLAIN = {
    "2": (2.0, "½ forgotten"),
    "½": (0.5, "a ½ too many"),
    "−1": (-1.0, "its sign is wrong"),
}


def sum_of(amount: float, constants: Mapping[str, float], tolerance: float) -> str | None:
    """Names of the constants that add up to an amount, or ``None``.

    >>> sum_of(3.0, {"a": 1.0, "b": 2.0, "c": 5.0}, 1e-9)
    'a and b'
    """
    names = list(constants)
    for count in range(1, len(names) + 1):
        for chosen in combinations(names, count):
            if abs(amount - sum(constants[name] for name in chosen)) <= tolerance:
                return " and ".join(chosen)
    return None
