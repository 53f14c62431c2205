"""Records and arrays to figures that carry their alternative text; imports no model."""

from companion.plots.display import COLOURS, show, show_animation, style
from companion.plots.images import image_grid
from companion.plots.learning import bound_and_entropies, gap_and_gradient

__all__ = [
    "COLOURS",
    "bound_and_entropies",
    "gap_and_gradient",
    "image_grid",
    "show",
    "show_animation",
    "style",
]
