"""How to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from companion.models.vae.gaussian import Noise
from companion.support.checks import as_names, one_of, positive_integer
from companion.support.doors import Guarded

__all__ = ["Plan"]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "float64"]
Draws = Literal["cpu", "device"]
SCALES = ("noise", "prior")


@dataclass(frozen=True)
class Plan(Guarded):
    """How to train: Adam for ``steps`` steps, on ``batch_size`` points each (``None``: on all).

    The learning rate falls to zero along a cosine, or stays with ``decay=False``. Every step
    integrates over z with ``samples`` fresh draws per data point; ``samples=None`` takes the rule
    of the logged values instead (exact for a linear decoder with constant noise). The variances
    that ``profile`` names, of ``"noise"`` and ``"prior"``, take their best values in closed form
    inside the objective, in every step. The weight of the KL divergence rises linearly from 0 to 1
    over the first ``warmup`` steps. Training runs on ``device`` (``"auto"``: a GPU where there is
    one) in ``precision``; what is logged, every ``log_every`` steps, is computed in float64.

    The fresh draws come from the CPU in float64, so that a seed gives the same run on any device,
    to round-off. For many samples that is what takes the time: ``draws="device"`` draws them where
    training runs and in its precision, and a seed then gives other noise than on the CPU.

    Raises
    ------
    ValueError
        For a value out of range. Whether there is a GPU is seen only when training begins.

    >>> Plan(profile=("variance",))
    Traceback (most recent call last):
        ...
    ValueError: profile must name scales among noise, prior: got ('variance',)
    """

    steps: int = 2000
    learning_rate: float = 1e-3
    decay: bool = True
    batch_size: int | None = None
    samples: int | None = 1
    profile: tuple[str, ...] = ()
    warmup: int = 0
    device: Device = "auto"
    precision: Precision = "float64"
    log_every: int = 100
    draws: Draws = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "profile", as_names(self.profile))
        for name in ("steps", "log_every"):
            positive_integer(getattr(self, name), name)
        for name in ("batch_size", "samples"):
            if getattr(self, name) is not None:
                positive_integer(getattr(self, name), name)
        if not (isinstance(self.warmup, int) and self.warmup >= 0):
            raise ValueError(f"warmup must be a number of steps, 0 for none: got {self.warmup!r}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive: got {self.learning_rate}")
        if not set(self.profile) <= set(SCALES):
            raise ValueError(
                f"profile must name scales among {', '.join(SCALES)}: got {self.profile!r}"
            )
        words = {"device": Device, "precision": Precision, "draws": Draws}
        for name, allowed in words.items():
            one_of(getattr(self, name), name, allowed)

    @property
    def place(self) -> torch.device:
        """The ``device`` on this machine.

        Raises
        ------
        ValueError
            For ``"cuda"`` where PyTorch finds no GPU.

        >>> Plan(device="cpu").place
        device(type='cpu')
        """
        present = torch.cuda.is_available()
        if self.device == "cuda" and not present:
            raise ValueError(
                'device="cuda" needs a GPU and a CUDA build of PyTorch, and PyTorch '
                f'{torch.__version__} finds none here: use device="cpu" or "auto"'
            )
        return torch.device("cuda" if present and self.device != "cpu" else "cpu")

    def check_profile(self, noise: str, learnable_prior: bool) -> None:
        """Raise a ``ValueError`` unless such a VAE has the best variances in closed form."""
        one_of(noise, "noise", Noise)
        if "prior" in self.profile and not learnable_prior:
            raise ValueError('profile="prior" needs learnable_prior=True')
        if "noise" in self.profile and noise == "softplus":
            raise ValueError('profile="noise" has no closed form for noise_type="softplus"')
