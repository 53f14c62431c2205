"""A corpus that is there with SciPy: docstrings of its functions, and topics of them in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import (
    fft,
    integrate,
    interpolate,
    linalg,
    ndimage,
    optimize,
    signal,
    sparse,
    spatial,
    special,
    stats,
)
from sklearn.feature_extraction.text import CountVectorizer
from torch import Tensor

from companion.book.panels import panels
from companion.models import MeanFieldTopics
from companion.support.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MODULES", "Corpus", "docstrings", "shares_figure", "telling", "topics_table"]

#: Where SciPy's public functions are.
MODULES: tuple[Any, ...] = (
    *(fft, integrate, interpolate, linalg, ndimage, optimize),
    *(signal, sparse, spatial, special, stats),
)


class Corpus(NamedTuple):
    """Counts ``(N, V)``, sparse; the V ``words``; each document's name, such as ``stats.norm``."""

    counts: Any
    words: np.ndarray[Any, Any]
    names: list[str]

    @property
    def modules(self) -> list[str]:
        """The module of each document."""
        return [name.partition(".")[0] for name in self.names]


def docstrings(least: int = 10, most: float = 0.4, every: int = 1) -> Corpus:
    """Word counts of SciPy's docstrings, one a document, each text once, in a fixed order.

    Words have three letters or more; those in fewer than ``least`` documents, in more than the
    share ``most`` of them, or on scikit-learn's list of English stop words are left out. Of the
    documents every so manieth is taken, ``every``.
    """
    texts: dict[str, str] = {}
    for module in MODULES:
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            text = getattr(thing, "__doc__", None) if callable(thing) else None
            if text:  # addresses of objects differ from run to run
                texts.setdefault(
                    re.sub(r"0x[0-9a-f]+", "", text), f"{module.__name__}.{name}"[len("scipy.") :]
                )
    kept = list(texts)[::every]
    counter = CountVectorizer(
        token_pattern=r"\b[a-z]{3,}\b", stop_words="english", min_df=least, max_df=most
    )
    counts = counter.fit_transform(kept)
    some = np.asarray(counts.sum(1)).ravel() > 0
    names = [texts[text] for text, one in zip(kept, some, strict=True) if one]
    return Corpus(counts[some], counter.get_feature_names_out(), names)


def topics_table(corpus: Corpus, q: MeanFieldTopics, logits: Tensor, count: int = 7) -> Table:
    """Topics by their share of all words: e to the entropy of each, and what tells of it most."""
    p, share = torch.softmax(logits, -1), q.topics.sum(0) / q.topics.sum()
    effective, words = torch.special.entr(p).sum(-1).exp(), telling(corpus, q, logits, count)
    return Table(
        ("share (%)", "words in use, eᴴ", "words that tell most"),
        [
            (round(100 * float(share[k])), round(float(effective[k])), ", ".join(words[k]))
            for k in share.argsort(descending=True).tolist()
        ],
    )


def telling(corpus: Corpus, q: MeanFieldTopics, logits: Tensor, count: int) -> np.ndarray[Any, Any]:
    """The words with the largest terms of Σ_w p(w | k) log p(w | k)/p(w), ``(K, count)``."""
    p, share = torch.softmax(logits, -1), q.topics.sum(0) / q.topics.sum()
    terms = p * (p.clamp(min=1e-300) / (share @ p).clamp(min=1e-300)).log()
    found: np.ndarray[Any, Any] = corpus.words[terms.argsort(-1, descending=True)[:, :count]]
    return found


def shares_figure(corpus: Corpus, q: MeanFieldTopics, logits: Tensor) -> Figure:
    """The share of each topic, by its first words, in the words of each module's documents."""
    modules = np.array(corpus.modules)
    known = sorted(set(modules))
    total = np.stack([q.topics.numpy()[modules == name].sum(0) for name in known])
    total /= total.sum(1, keepdims=True)
    order = np.lexsort((-total.max(0), total.argmax(0)))
    first = telling(corpus, q, logits, 2)
    names = [", ".join(first[k]) for k in order]
    with panels(xlabel="", ylabel="", size=(7.0, 4.4)) as (figure, (axes,)):
        axes.imshow(total[:, order], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
        axes.set_yticks(range(len(known)), known)
        axes.grid(False)
        for i, j in zip(*np.nonzero(total[:, order] > 0.15), strict=True):
            value = total[i, order[j]]
            colour = "white" if value > 0.6 else "black"
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", color=colour)
    return figure
