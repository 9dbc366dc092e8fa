"""The promise of Clock, over both clocks."""

import itertools

import pytest

from installation.clock import Clock, ManualClock, SystemClock


@pytest.fixture(params=["system", "manual"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else ManualClock(now=1.7e9)


def test_readings_of_a_clock_never_decrease(clock):
    readings = [(clock.now(), clock.monotonic()) for _ in range(1000)]
    for earlier, later in itertools.pairwise(readings):
        assert earlier[0] <= later[0] and earlier[1] <= later[1]


def test_sleeping_ends_at_the_deadline_and_not_before(clock):
    deadline = clock.monotonic() + 0.004
    clock.sleep_until(deadline)
    assert deadline <= clock.monotonic()


def test_a_deadline_that_has_passed_does_not_wait(clock):
    before = clock.monotonic()
    clock.sleep_until(before - 3600)
    assert clock.monotonic() - before < 1


def test_epoch_time_passes_as_fast_as_monotonic_time(clock):
    now, monotonic = clock.now(), clock.monotonic()
    clock.sleep_until(monotonic + 0.02)
    passed = clock.monotonic() - monotonic
    assert clock.now() - now == pytest.approx(passed, rel=0.05, abs=0.002)
