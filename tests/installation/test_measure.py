"""Measurements count what they should, in turns, with tiny models and hand-moved clocks."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from installation import measure
from installation.bench import bench_show
from installation.clock import ManualClock, SystemClock
from installation.measure import Times
from models.testcard import TestCard


class Slow:
    """A test card that takes its time on a hand-moved clock."""

    def __init__(self, clock: ManualClock, seconds: float, told: list[str], name: str) -> None:
        self._card, self._clock, self._seconds = TestCard(), clock, seconds
        self._told, self._name = told, name

    def __getattr__(self, name: str):
        return getattr(self._card, name)

    def synthesize(self, ws, out=None):
        self._told.append(self._name)
        self._clock.advance(self._seconds)
        return self._card.synthesize(ws, out=out)


def test_times_know_their_middle_and_their_ninety_ninth_percentile():
    times = Times(tuple(float(n) for n in range(1, 101)))
    assert (times.median, times.p99) == (50.5, 99.0)
    assert Times((20.0,)).hz == 50.0


def test_two_models_are_timed_in_turns_for_as_long_each(clock):
    told: list[str] = []
    models = [Slow(clock, 0.01, told, "quick"), Slow(clock, 0.1, told, "slow")]
    quick, slow = measure.generation(models, clock, seconds=1.0)
    assert quick.median == pytest.approx(10) and slow.median == pytest.approx(100)
    assert sum(quick.ms) >= 1000 and sum(slow.ms) >= 1000
    turns = [told[0], *(b for a, b in itertools.pairwise(told) if a != b)]
    assert len(turns) >= 8


def test_a_model_is_no_different_from_itself():
    assert measure.difference(TestCard(), TestCard()) == (0.0, 0)


def test_the_difference_of_two_models_is_told_in_levels():
    class Brighter:
        def __init__(self) -> None:
            self._card = TestCard()

        def __getattr__(self, name: str):
            return getattr(self._card, name)

        def synthesize(self, ws, out=None):
            return np.minimum(self._card.synthesize(ws) + 3 / 127.5, 1)

    mean, largest = measure.difference(TestCard(), Brighter())
    assert 0 < mean <= 3.1 and 3 <= largest <= 4


def test_walking_points_are_asked_for_one_after_another():
    points = measure.latents(TestCard())
    first, second = next(points), next(points)
    assert first.shape == (1, TestCard().z_dim)
    assert 0 < np.abs(first - second).max() < 0.5


def test_planning_a_frame_is_timed_as_often_as_asked():
    assert len(measure.planning(bench_show("testcard"), SystemClock(), 20).ms) == 20


@pytest.mark.gl
def test_every_route_of_this_machine_carries_the_test_card(surface):
    ways = measure.routes(surface, "cpu")
    assert "copy" in [way.name for way in ways]
    assert len({way.name for way in ways}) == len(ways)
    for way in ways:
        times = measure.upload(surface, TestCard(), way, SystemClock(), 5)
        assert len(times.ms) == 5 and min(times.ms) > 0


@pytest.mark.gl
def test_drawing_is_timed_and_leaves_no_error_behind(surface):
    assert len(measure.drawing(surface, 16, SystemClock(), 4).ms) == 4
    assert surface.ctx.error == "GL_NO_ERROR"


@pytest.mark.gl
def test_a_running_show_tells_its_pace(surface, tmp_path):
    calls = []
    found = measure.pacing(
        bench_show("testcard"),
        surface,
        SystemClock(),
        seconds=0.4,
        fps=60,
        beside=tmp_path,
        each_frame=lambda: calls.append(1),
    )
    assert found.frames == len(calls) > 1
    assert found.failed == 0 and found.mean_ms > 0 and found.p99_ms >= found.mean_ms


def test_resident_memory_is_read_in_megabytes(tmp_path):
    statm = tmp_path / "statm"
    statm.write_text("1000 500 100 1 0 400 0\n")
    assert measure.resident_mb(statm) == pytest.approx(500 * 4096 / 1e6, rel=4)
    assert measure.resident_mb(Path("/no/such/file")) == 0.0


def test_the_slope_of_memory_is_told_an_hour():
    samples = [(1e6 + second, 100 + second * 2 / 3600) for second in range(0, 600, 5)]
    assert measure.slope_per_hour(samples) == pytest.approx(2.0)
