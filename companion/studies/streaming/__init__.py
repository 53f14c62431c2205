"""Linear VAEs that learn from a stream of batches, and choosing among them while it runs."""

from companion.studies.streaming.following import Followed, follow
from companion.studies.streaming.linear_vae import ClosedForm, closed_form
from companion.studies.streaming.selection import (
    bic,
    certified,
    choose,
    delays,
    free_parameters,
    settled_share,
    window_bic,
)
from companion.studies.streaming.sources import ResampledStream, Stream, SwitchingStream

__all__ = [
    "ClosedForm",
    "Followed",
    "ResampledStream",
    "Stream",
    "SwitchingStream",
    "bic",
    "certified",
    "choose",
    "closed_form",
    "delays",
    "follow",
    "free_parameters",
    "settled_share",
    "window_bic",
]
