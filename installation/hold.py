"""What the wall shows while a scene has no picture: the last one, and a dip when it goes on.

Knows times and whether a picture is there; no textures, no models.
"""

from dataclasses import dataclass

GAP_S = 0.25  # a shorter gap goes unnoticed: the picture only stood still
DIP_S = 1.0  # down with the held picture, up with the new one


@dataclass(frozen=True)
class Showing:
    """`new`: show the plan's own pictures, else the held ones; `light` in [0, 1]."""

    new: bool
    light: float


class Hold:
    """One channel's answer to a missing picture. A model that can't be had means a dip, no stop."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._dip_s: float | None = None
        self._began = False

    def advance(self, at_s: float, ready: bool) -> Showing:
        """What to show at `at_s` (seconds, not falling) when the plan's pictures are `ready`."""
        if self._dip_s is not None:
            return self._dipping(at_s, ready)
        if ready:
            return self._return(at_s)
        if self._since_s is None:
            self._since_s = at_s
        return Showing(new=False, light=1.0)

    def _return(self, at_s: float) -> Showing:
        gap_s = 0.0 if self._since_s is None else at_s - self._since_s
        self._since_s = None
        if not self._began or gap_s < GAP_S:
            self._began = True
            return Showing(new=True, light=1.0)
        self._dip_s = at_s
        return Showing(new=False, light=1.0)

    def _dipping(self, at_s: float, ready: bool) -> Showing:
        assert self._dip_s is not None
        part = (at_s - self._dip_s) / DIP_S
        if part < 0.5:
            return Showing(new=False, light=1.0 - 2.0 * part)
        if not ready:  # gone again in the dark: come back with the held picture
            self._since_s, self._dip_s = at_s, None
            return Showing(new=False, light=1.0)
        if part >= 1.0:
            self._dip_s = None
            return Showing(new=True, light=1.0)
        return Showing(new=True, light=2.0 * part - 1.0)
