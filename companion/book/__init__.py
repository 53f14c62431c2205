"""The book's own tools: claims, tiers, figures with their words, charts that chapters share."""

from companion.book.display import COLOURS, show, show_animation, style

__all__ = ["COLOURS", "show", "show_animation", "style"]
