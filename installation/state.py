"""Everything that may change during a show, and `apply`, the only way it changes.

State is anchors, not sums: nothing here integrates a time step, and nothing reads a clock. `now`
is always seconds since the Unix epoch, float64.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from installation.easing import smooth, smooth_area
from installation.show import Show

MAX_SPEED = 10.0
MAX_FADE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """Show time `show_time_s` belongs to `at_s`; from there it runs at `rate`.

    Where `ease_s` is not zero the rate goes over from `rate_before` to `rate` in that time.
    """

    show_time_s: float
    at_s: float
    rate: float
    rate_before: float = 1.0
    ease_s: float = 0.0

    def show_time(self, now: float) -> float:
        """Return the show time at `now`, in seconds."""
        elapsed = now - self.at_s
        if self.ease_s <= 0.0:
            return self.show_time_s + self.rate * elapsed
        gained = self.ease_s * smooth_area(elapsed / self.ease_s)
        return (
            self.show_time_s + self.rate_before * elapsed + (self.rate - self.rate_before) * gained
        )

    def rate_at(self, now: float) -> float:
        """Return how many seconds of show time go by in a second, at `now`."""
        if self.ease_s <= 0.0:
            return self.rate
        return self.rate_before + (self.rate - self.rate_before) * smooth(
            (now - self.at_s) / self.ease_s
        )


@dataclass(frozen=True, slots=True)
class Fade:
    """A value on its way from `from_` to `to`, beginning at `starts_s` and taking `duration_s`."""

    from_: float
    to: float
    starts_s: float
    duration_s: float

    def value(self, now: float) -> float:
        """Return the value at `now`; eased, and resting at `to` for ever after."""
        if self.duration_s <= 0.0:
            return self.to if now >= self.starts_s else self.from_
        part = smooth((now - self.starts_s) / self.duration_s)
        return self.from_ + (self.to - self.from_) * part

    def towards(self, to: float, now: float, duration_s: float) -> "Fade":
        """Return the fade that leaves this one where it is at `now` and goes to `to`."""
        return Fade(self.value(now), to, now, duration_s)


@dataclass(frozen=True, slots=True)
class Grid:
    """The times at which key images stand: tick k is at k / rate_hz seconds since the epoch."""

    rate_hz: Fraction = Fraction(30)

    def __post_init__(self) -> None:
        """Refuse rates no display and no model could mean."""
        if not 0 < self.rate_hz <= 1000:
            raise ValueError(
                f"the grid's rate is {self.rate_hz} Hz; it must be above 0, at most 1000"
            )

    def time(self, tick: int) -> float:
        """Return the time of a tick, in seconds since the epoch, correctly rounded."""
        return tick * self.rate_hz.denominator / self.rate_hz.numerator

    def tick(self, now: float) -> int:
        """Return the last tick at or before `now`, in agreement with `time` to the last bit."""
        tick = math.floor(now * self.rate_hz.numerator / self.rate_hz.denominator)
        while self.time(tick) > now:
            tick -= 1
        while self.time(tick + 1) <= now:
            tick += 1
        return tick


@dataclass(frozen=True, slots=True)
class State:
    """The anchors and controls of a running show; `earlier` holds until `anchor.at_s`."""

    earlier: Anchor
    anchor: Anchor
    grid: Grid
    speed: float = 1.0
    paused: bool = False
    brightness: Fade = Fade(1.0, 1.0, 0.0, 0.0)
    light: Fade = Fade(1.0, 1.0, 0.0, 0.0)  # 0 in a blackout


def initial_state(show: Show, grid: Grid | None = None) -> State:
    """Return the state of a show nobody has touched: its zero is `starts`, else the Unix epoch."""
    anchor = Anchor(0.0, show.starts or 0.0, 1.0)
    return State(anchor, anchor, grid or Grid())


def show_time(state: State, now: float) -> float:
    """Return the show time at `now`, in seconds."""
    anchor = state.anchor if now >= state.anchor.at_s else state.earlier
    return anchor.show_time(now)


@dataclass(frozen=True, slots=True)
class SetSpeed:
    """Let show time run at `speed` (0 to 10, 1 is the show's own), reached in `ease_s` seconds."""

    speed: float
    ease_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no knob may send."""
        _check("the speed", self.speed, MAX_SPEED)
        _check("the time of the change", self.ease_s, MAX_FADE_S)


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold the walk where it is, coming to rest in `ease_s` seconds."""

    ease_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no knob may send."""
        _check("the time of the change", self.ease_s, MAX_FADE_S)


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused walk go on at its speed, reached in `ease_s` seconds."""

    ease_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no knob may send."""
        _check("the time of the change", self.ease_s, MAX_FADE_S)


@dataclass(frozen=True, slots=True)
class SetBrightness:
    """Bring the wall to `level` (0 dark to 1 full) in `fade_s` seconds."""

    level: float
    fade_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what no knob may send."""
        _check("the brightness", self.level, 1.0)
        _check("the fade", self.fade_s, MAX_FADE_S)


@dataclass(frozen=True, slots=True)
class SetBlackout:
    """Take the light off the wall, or give it back, in `fade_s` seconds."""

    on: bool
    fade_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no knob may send."""
        _check("the fade", self.fade_s, MAX_FADE_S)


@dataclass(frozen=True, slots=True)
class SetGrid:
    """Put key images on another grid of times."""

    grid: Grid


Command = SetSpeed | Pause | Resume | SetBrightness | SetBlackout | SetGrid


def _check(name: str, value: float, highest: float) -> None:
    if not 0.0 <= value <= highest:  # false for NaN as well
        raise ValueError(f"{name} is {value}; it must be between 0 and {highest:g}")


def apply(state: State, command: Command, now: float) -> State:
    """Return the state after `command`, given at `now`."""
    match command:
        case SetSpeed(speed, ease_s):
            return _run_at(replace(state, speed=speed), ease_s, now)
        case Pause(ease_s):
            return _run_at(replace(state, paused=True), ease_s, now)
        case Resume(ease_s):
            return _run_at(replace(state, paused=False), ease_s, now)
        case SetBrightness(level, fade_s):
            return replace(state, brightness=state.brightness.towards(level, now, fade_s))
        case SetBlackout(on, fade_s):
            return replace(state, light=state.light.towards(0.0 if on else 1.0, now, fade_s))
        case SetGrid(grid):
            return replace(state, grid=grid)


def _run_at(state: State, ease_s: float, now: float) -> State:
    """Anchor the state anew so that show time runs at its speed from the next tick on.

    The anchor stands on the grid: the two key images on the wall keep their latents, so the picture
    neither jumps nor bends before the next one. A second command before that tick replaces the
    first.
    """
    rate = 0.0 if state.paused else state.speed
    earlier = state.anchor if now >= state.anchor.at_s else state.earlier
    tick = state.grid.tick(now)
    at = now if state.grid.time(tick) == now else state.grid.time(tick + 1)
    anchor = Anchor(earlier.show_time(at), at, rate, earlier.rate_at(at), ease_s)
    return replace(state, earlier=earlier, anchor=anchor)
