"""One colour for each number of adaptations, in all panels of a figure."""

from __future__ import annotations

from matplotlib import colormaps

Colour = str | tuple[float, float, float, float]

BEFORE = "#8a8a8a"
_FIRST, _LAST = 0.08, 0.72  # of a colour map from blue over red to yellow, which is too pale


def color_of(adaptations: int, most: int) -> Colour:
    """Return grey before adaptation, then blue to orange up to `most` adaptations."""
    if adaptations == 0:
        return BEFORE
    share = (adaptations - 1) / max(most - 1, 1)
    red, green, blue, alpha = colormaps["plasma"](_FIRST + (_LAST - _FIRST) * min(share, 1.0))
    return red, green, blue, alpha
