"""Where a picture lands on a surface: fit, centring and quarter turns, in whole pixels.

Arithmetic on values; knows no OpenGL and no picture.
"""

import math
from dataclasses import dataclass
from typing import Literal

Fit = Literal["contain", "cover", "stretch"]
QuarterTurn = Literal[0, 90, 180, 270]  # degrees, clockwise as the visitor sees it


@dataclass(frozen=True)
class Span:
    """One axis of the picture as it lies on the surface; pixels are the surface's."""

    texels: int  # of the picture along this axis
    extent_px: int  # of the whole picture
    first_px: int  # where its visible part begins on the surface
    count_px: int  # how long its visible part is
    hidden_px: int  # pixels of the picture cut off before the visible part, along the picture
    reversed: bool  # the picture's axis runs against the surface's

    @property
    def cubic(self) -> tuple[float, float]:
        """(B, C) of Mitchell and Netravali's cubic (1988), on their line B + 2 C = 1.

        At its own size and smaller a picture is interpolated exactly (Catmull-Rom, B = 0); from
        four times on B is 2/3. Chosen by eye from a drawn figure, 64 texels on 480 px: B = 0 and
        1/3 show steps and halos along outlines, B = 1 washes the eyes out.
        """
        doublings = math.log2(max(1.0, self.extent_px / self.texels))
        b = min(1.0, doublings / 2.0) * 2.0 / 3.0
        return b, (1.0 - b) / 2.0


@dataclass(frozen=True)
class Placement:
    """The picture's own axes (x to the right, y up) and whether they change places."""

    across: Span  # the picture's x axis
    up: Span  # the picture's y axis
    swapped: bool  # the picture's x axis lies along the surface's y axis

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """The visible part on the surface: x, y, width, height in pixels, y upwards."""
        x, y = (self.up, self.across) if self.swapped else (self.across, self.up)
        return x.first_px, y.first_px, x.count_px, y.count_px


def place(
    image: tuple[int, int],
    view: tuple[int, int],
    fit: Fit,
    rotation: QuarterTurn = 0,
) -> Placement:
    """Place an image of (width, height) texels in a view of (width, height) pixels, centred.

    contain: all of it, with bars; cover: no bars, cut at the edges; stretch: filled, distorted.
    """
    swapped = rotation in (90, 270)
    lengths = view[::-1] if swapped else view  # along the picture's x and y axes
    scales = [length / texels for length, texels in zip(lengths, image, strict=True)]
    if fit != "stretch":
        scales = [min(scales) if fit == "contain" else max(scales)] * 2
    # Clockwise by a quarter, the picture's x runs down the surface and its y to the right.
    backwards = {0: (False, False), 90: (True, False), 180: (True, True), 270: (False, True)}
    spans = [
        _span(texels, length, scale, back)
        for texels, length, scale, back in zip(
            image, lengths, scales, backwards[rotation], strict=True
        )
    ]
    return Placement(spans[0], spans[1], swapped)


def _span(texels: int, view: int, scale: float, backwards: bool) -> Span:
    extent = max(1, round(texels * scale))
    offset = (view - extent) // 2
    first = max(0, offset)
    end = min(view, offset + extent)
    hidden = offset + extent - end if backwards else first - offset
    return Span(texels, extent, first, end - first, hidden, backwards)
