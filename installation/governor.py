"""Chooses how often key images are made so that none is late; knows no models and no clocks."""

import math
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median

HEADROOM = 0.75  # share of a grid period that making its images may take
CALM_S = 30.0  # how long it must have been easily fast enough before the grid gets finer
CALM_MARGIN = 0.8  # "easily": the finer grid would still leave this much of its budget
WINDOW = 24  # durations looked at: 0.4 s at 60 images a second, 2 s at 12


def divisor_for(display_hz: Fraction, seconds_per_tick: float) -> int:
    """The smallest whole divisor of the display rate whose period holds one tick's work.

    `display_hz` in frames a second, `seconds_per_tick` the time all images of one tick take
    (>= 0). Raises ValueError for a rate that is not positive.
    """
    if display_hz <= 0:
        raise ValueError(f"display rate {display_hz} Hz: expected a positive rate")
    return max(1, math.ceil(seconds_per_tick * float(display_hz) / HEADROOM))


@dataclass
class Governor:
    """Turns measured durations into a grid rate: coarser at once, finer only after a calm spell.

    A divisor of the display rate keeps every key image on a displayed frame, so that the blend
    between two key images repeats evenly and no beat is visible.
    """

    display_hz: Fraction
    divisor: int = 1
    _durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _calm_since_s: float | None = None

    @property
    def rate_hz(self) -> Fraction:
        """The rate of the grid, in key images a second."""
        return self.display_hz / self.divisor

    def note(self, seconds_per_tick: float) -> None:
        """Remember what one tick's images took, in seconds."""
        self._durations_s.append(seconds_per_tick)

    def decide(self, at_s: float) -> Fraction:
        """The rate to use from now on; `at_s` is monotonic seconds, only differences matter."""
        if len(self._durations_s) < WINDOW // 2:
            return self.rate_hz
        typical_s = median(self._durations_s)
        needed = divisor_for(self.display_hz, typical_s)
        if needed > self.divisor:
            self._change(needed)
        elif divisor_for(self.display_hz, typical_s / CALM_MARGIN) < self.divisor:
            self._finer_when_calm(divisor_for(self.display_hz, typical_s / CALM_MARGIN), at_s)
        else:
            self._calm_since_s = None
        return self.rate_hz

    def _finer_when_calm(self, divisor: int, at_s: float) -> None:
        if self._calm_since_s is None:
            self._calm_since_s = at_s
        elif at_s - self._calm_since_s >= CALM_S:
            self._change(divisor)

    def _change(self, divisor: int) -> None:
        self.divisor = divisor
        self._calm_since_s = None
        self._durations_s.clear()
