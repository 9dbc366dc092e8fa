"""Where time comes from: the system's clocks, disciplined, or a clock moved by hand.

The only reader of the system's clocks in Wanderer. Knows no show, no picture and no time zone.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

# Offsets up to this are slewed away in silence. Two seconds, so that a leap second and what a first
# NTP answer usually corrects are; larger ones are a wrong clock, for `SystemClock.follow_wall`.
SLEW_LIMIT_S = 2.0
# How much faster or slower than the steady clock `now` may run while slewing: a walk two per cent
# off its speed is not seen.
SLEW_RATE = 0.02
# `sleep_until` sleeps to this long before its deadline and yields in a loop for the rest. Measured
# on Linux 6, 2 shared cores, at 60 Hz: mean 16.667 ms, p99 19.4; sleeping all the way: 16.90 and
# drifting.
SPIN_S = 0.001


class Clock(Protocol):
    """Two readings and one wait."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC). Never steps back, never jumps by itself."""
        ...

    def monotonic(self) -> float:
        """Seconds from an unknown zero, for intervals and deadlines. Never steps back."""
        ...

    def sleep_until(self, monotonic_s: float) -> None:
        """Return when `monotonic()` has reached `monotonic_s`; at once when it has already."""
        ...


def _since_boot() -> float:
    """A clock that no setting of the time moves and that, on Linux, runs on through suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """`now` is anchored once to the wall clock and then runs on a clock that nobody sets.

    Offsets to the wall clock up to `SLEW_LIMIT_S` are slewed away at `SLEW_RATE`; a larger one is
    reported by `offset_s` and followed only when `follow_wall` is called, because following it
    makes the picture jump. May be used from any thread.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the readings from elsewhere only in tests."""
        self._wall = wall
        self._steady = steady or (
            _since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
        )
        self._sleep = sleep
        self._lock = threading.Lock()
        self._steady_then = self._steady()
        self._now_then = self._wall()

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
        with self._lock:
            steady = self._steady()
            passed = steady - self._steady_then
            now = self._now_then + passed
            offset = self._wall() - now
            if abs(offset) <= SLEW_LIMIT_S:
                now += max(-SLEW_RATE * passed, min(SLEW_RATE * passed, offset))
            self._steady_then, self._now_then = steady, now
            return now

    def offset_s(self) -> float:
        """How far the wall clock is ahead of `now`, in seconds."""
        now = self.now()
        return self._wall() - now

    def follow_wall(self) -> float:
        """Jump to the wall clock, backwards too, and say by how much; for when the wall is dark."""
        with self._lock:
            steady, wall = self._steady(), self._wall()
            jump = wall - (self._now_then + steady - self._steady_then)
            self._steady_then, self._now_then = steady, wall
            return jump

    def monotonic(self) -> float:
        """Seconds since some time before the program's start."""
        return time.monotonic()

    def sleep_until(self, monotonic_s: float) -> None:
        """Sleep to `SPIN_S` before the deadline, then yield until it has come."""
        left = monotonic_s - self.monotonic()
        if left > SPIN_S:
            self._sleep(left - SPIN_S)
        while self.monotonic() < monotonic_s:
            self._sleep(
                0
            )  # lets Python's other threads run; a bare loop would hold the global lock


class ManualClock:
    """A clock that moves only when told, for tests and for rendering a show to files."""

    def __init__(self, now: float = 0.0, monotonic: float = 0.0) -> None:
        """Start at the epoch time `now` and the monotonic reading `monotonic`, in seconds."""
        self._now = now
        self._monotonic = monotonic

    def now(self) -> float:
        """Seconds since the Unix epoch, as far as this clock was moved."""
        return self._now

    def monotonic(self) -> float:
        """Seconds from this clock's own zero."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both readings forward. ValueError for a step back."""
        if not seconds >= 0:
            raise ValueError(f"a clock moves forward; advance() was asked for {seconds} s")
        self._now += seconds
        self._monotonic += seconds

    def sleep_until(self, monotonic_s: float) -> None:
        """Move to the deadline at once."""
        self.advance(max(0.0, monotonic_s - self._monotonic))
