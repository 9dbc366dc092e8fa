"""What SystemClock does when the wall clock is moved, and ManualClock when it is moved back."""

import itertools
import time

import pytest

from installation.clock import SLEW_LIMIT_S, SLEW_RATE, ManualClock, SystemClock


class HandMoved:
    """A wall clock and a steady clock that a test sets."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 50.0
        self.clock = SystemClock(wall=lambda: self.wall, steady=lambda: self.steady)

    def run(self, seconds: float, step: float = 0.1) -> list[float]:
        readings = []
        for _ in range(round(seconds / step)):
            self.wall += step
            self.steady += step
            readings.append(self.clock.now())
        return readings


def test_system_clock_says_what_the_wall_clock_says():
    assert SystemClock().now() == pytest.approx(time.time(), abs=0.5)  # noqa: TID251 - the subject


@pytest.mark.parametrize("step_s", [-1.5, -0.03, 0.03, 1.5])
def test_a_small_step_of_the_wall_clock_is_slewed_and_never_jumps(step_s):
    hands = HandMoved()
    before = hands.clock.now()
    hands.wall += step_s
    readings = [before, *hands.run(abs(step_s) / SLEW_RATE + 1)]
    steps = [b - a for a, b in itertools.pairwise(readings)]
    assert 0.1 * (1 - SLEW_RATE) - 1e-6 <= min(steps)
    assert max(steps) <= 0.1 * (1 + SLEW_RATE) + 1e-6
    assert hands.clock.now() == pytest.approx(hands.wall, abs=1e-6)


@pytest.mark.parametrize("step_s", [-3600.0, -SLEW_LIMIT_S - 0.1, 86400.0])
def test_a_large_step_of_the_wall_clock_is_reported_and_not_followed(step_s):
    hands = HandMoved()
    hands.wall += step_s
    readings = hands.run(60)
    assert readings[-1] - readings[0] == pytest.approx(59.9)
    assert hands.clock.offset_s() == pytest.approx(step_s)


@pytest.mark.parametrize("step_s", [-3600.0, 86400.0])
def test_following_the_wall_clock_takes_the_whole_step_at_once(step_s):
    hands = HandMoved()
    hands.wall += step_s
    assert hands.clock.follow_wall() == pytest.approx(step_s)
    assert hands.clock.now() == pytest.approx(hands.wall)
    assert hands.clock.offset_s() == pytest.approx(0)


def test_sleeping_stops_a_millisecond_early_and_yields_for_the_rest():
    slept = []
    clock = SystemClock(sleep=slept.append)
    clock.sleep_until(clock.monotonic() + 0.003)
    assert 0.0015 < slept[0] < 0.002
    assert set(slept[1:]) == {0}


def test_manual_clock_moves_only_when_told_to():
    clock = ManualClock(now=1000.0)
    assert (clock.now(), clock.monotonic()) == (1000.0, 0.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (1002.5, 2.5)
    clock.sleep_until(10.0)
    assert (clock.now(), clock.monotonic()) == (1010.0, 10.0)


@pytest.mark.parametrize("seconds", [-0.1, float("nan")])
def test_manual_clock_refuses_to_go_back(seconds):
    with pytest.raises(ValueError, match="a clock moves forward; advance"):
        ManualClock().advance(seconds)
