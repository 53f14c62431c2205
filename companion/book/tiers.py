"""One notebook, three sizes: `smoke` for tests, `book` for the site, `paper` for the papers."""

from typing import TypeVar

__all__ = ["TIERS", "pick"]

Size = TypeVar("Size")

TIERS = ("smoke", "book", "paper")


def pick(tier: str, /, **sizes: Size) -> Size:
    """Return the size given for `tier`; each of the three tiers must be given one.

    >>> pick("smoke", smoke=50, book=2000, paper=20000)
    50
    """
    if tier not in TIERS:
        raise ValueError(f"tier must be one of {', '.join(TIERS)}: found {tier!r}")
    if set(sizes) != set(TIERS):
        found = ", ".join(sizes) or "none"
        raise ValueError(f"give one size for each of {', '.join(TIERS)}: found {found}")
    return sizes[tier]
