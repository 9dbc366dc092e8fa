from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from installation.clock import ManualClock
from installation.evening import Evening, Pace, pace_of, play
from installation.health import Health
from installation.model_shelf import ModelShelf, NoPicture
from installation.offscreen import OffscreenSurface
from installation.show import parse_show
from installation.state import Grid, SetBlackout, SetGrid, SetSpeed
from models.testcard import TestCard

SHOW = """
title: Evening
pacing: {hold: 0 s, travel: 4 s, crossfade: 2 s}
scenes:
  - {name: a, model: here, walk: {kind: random, seed: 1}, for: 10 s}
  - {name: b, model: perhaps, walk: {kind: random, seed: 2}, for: 10 s}
"""


class Stage:
    """An evening on memory, on a clock moved by hand, with models that may be missing."""

    def __init__(self, missing=(), now=1_000_003.0):
        self.clock = ManualClock(now)
        self.surface = OffscreenSurface((48, 48))
        self.missing = set(missing)
        self.shelf = ModelShelf(
            self._load,
            images=1,
            monotonic=self.clock.monotonic,
            bytes_needed=lambda name: 0,
            bytes_free=lambda: 1,
        )
        self.evening = Evening(
            parse_show(SHOW, "evening.yaml"),
            self.surface,
            self.shelf,
            self.clock,
            Health(self.clock, frame_period_s=1 / 16),
            grid=Grid(Fraction(16)),
        )

    def _load(self, name):
        if name in self.missing:
            raise FileNotFoundError(name)
        return TestCard()

    def frame(self, after_s=0.0):
        self.clock.advance(after_s)
        for scene in self.evening.show.scenes:
            if scene.model not in self.missing:
                self.shelf.fetch(scene.model)
        self.evening.frame_in_full(self.clock.now())
        return self.surface.read().astype(int)

    def close(self):
        self.evening.close()
        self.surface.close()


@pytest.fixture
def stage():
    made = []

    def make(**options):
        made.append(Stage(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


pytestmark = pytest.mark.gl


def test_turning_the_speed_does_not_move_the_picture(stage):
    room = stage()
    before = room.frame()
    room.evening.command(SetSpeed(5.0))
    assert np.array_equal(room.frame(), before)
    assert not np.array_equal(room.frame(after_s=1.0), before)


def test_a_blackout_darkens_the_wall_and_gives_the_light_back(stage):
    room = stage()
    room.frame()
    room.evening.command(SetBlackout(on=True, fade_s=1.0))
    room.frame()
    halfway, dark = room.frame(after_s=0.5).max(), room.frame(after_s=0.6).max()
    assert 0 < halfway < 200
    assert dark == 0
    room.evening.command(SetBlackout(on=False, fade_s=1.0))
    room.frame()
    assert room.frame(after_s=1.1).max() > 200


def test_another_grid_does_not_jump(stage):
    room = stage()
    before = room.frame()
    room.evening.command(SetGrid(Grid(Fraction(8))))
    after = room.frame()
    assert np.abs(after - before).mean() < 1.0


def test_a_scene_without_its_model_keeps_the_last_picture_and_the_show_goes_on(stage):
    room = stage(missing=["perhaps"])
    frames = [room.frame(after_s=0.25) for _ in range(4 * 9)]  # into scene b, which has no model
    held = [room.frame(after_s=0.25) for _ in range(4 * 5)]
    assert max(np.abs(frame - held[0]).max() for frame in held) <= 1  # the dither's last bit
    assert held[0].max() > 100
    assert not np.array_equal(frames[0], held[0])


def test_when_the_show_can_go_on_the_wall_dips_and_does_not_jump(stage):
    room = stage(missing=["perhaps"])
    for _ in range(4 * 14):
        room.frame(after_s=0.25)
    frames = [room.frame(after_s=1 / 16) for _ in range(16 * 12)]  # scene a comes again
    light = [frame.max() for frame in frames]
    assert min(light) < 20
    assert light[-1] > 100
    assert not np.array_equal(frames[-1], frames[-2])


def test_facts_say_what_is_on_the_wall(stage):
    room = stage()
    plans = room.evening.frame_in_full(room.clock.now())
    room.shelf.fetch("here")
    facts = room.evening.facts(plans)
    assert (facts.title, facts.scene, facts.brightness) == ("Evening", "a", 1.0)
    assert facts.grid_hz == 16.0


def test_a_frame_that_fails_is_counted_and_the_next_one_is_shown(stage):
    room = stage()
    room.shelf.fetch("here")
    shown = []

    def view(plans):
        shown.append(plans)
        if len(shown) == 2:
            raise RuntimeError("a viewer stumbles")

    play(
        room.evening,
        room.surface,
        room.clock,
        Pace(Fraction(16), by_display=False),
        stopped=lambda: len(shown) >= 5,
        shown=view,
    )
    report = room.evening.health.report()
    assert report.frames_failed == 1
    assert report.frames_shown == 5


def test_a_show_that_can_not_make_its_first_picture_does_not_open(stage):
    class Broken(TestCard):
        def synthesize(self, ws, out=None):
            if out is not None:  # warming up still works
                raise RuntimeError("no paint")
            return super().synthesize(ws)

    room = stage()
    room.shelf._load = lambda name: Broken()
    room.shelf.fetch("here")
    pace = Pace(Fraction(16), by_display=False)
    with pytest.raises(NoPicture, match=r"scene 'a': no picture from model 'here' .*no paint"):
        play(room.evening, room.surface, room.clock, pace, stopped=lambda: True)


def test_trouble_with_a_surfaces_events_does_not_end_the_show(stage):
    room = stage()
    room.shelf.fetch("here")
    shown, polls = [], []

    class Nervous:
        def poll(self):
            polls.append(1)
            if len(polls) == 2:
                raise OSError("connection to the display broken")
            return True

    pace = Pace(Fraction(16), by_display=False)
    play(
        room.evening,
        Nervous(),
        room.clock,
        pace,
        stopped=lambda: len(shown) == 3,
        shown=shown.append,
    )
    assert len(shown) == 3


def test_a_display_that_does_not_wait_does_not_make_the_loop_spin(stage):
    room = stage()
    room.shelf.fetch("here")
    shown = []
    pace = Pace(Fraction(16), by_display=True)
    stopped = lambda: len(shown) == 32  # noqa: E731
    play(room.evening, room.surface, room.clock, pace, stopped=stopped, shown=shown.append)
    assert room.clock.monotonic() == pytest.approx(1.0, abs=0.05)


def test_frames_stand_on_the_grid_of_the_display_rate(stage):
    room = stage(now=1_000_003.013)
    room.shelf.fetch("here")
    times = []

    def stopped():
        return len(times) == 4

    play(
        room.evening,
        room.surface,
        room.clock,
        Pace(Fraction(16), by_display=False),
        stopped=stopped,
        shown=lambda plans: times.append(plans[0].now_s),
    )
    assert [time - 1_000_003 for time in times] == [0.0, 1 / 16, 2 / 16, 3 / 16]


@pytest.mark.parametrize(
    ("work_s", "steps"),
    [(0.02, [1, 1, 1]), (0.05, [1, 1, 1]), (0.11, [2, 2, 1]), (0.16, [3, 2, 3])],
)
def test_a_frame_that_takes_its_time_costs_no_more_frames_than_it_must(stage, work_s, steps):
    room = stage(now=1_000_003.0)  # frames every 0.0625 s
    room.shelf.fetch("here")
    times = []

    def work(plans):
        times.append(plans[0].now_s)
        room.clock.advance(work_s)

    play(
        room.evening,
        room.surface,
        room.clock,
        Pace(Fraction(16), by_display=False),
        stopped=lambda: len(times) == 4,
        shown=work,
    )
    assert [round(16 * (b - a)) for a, b in pairwise(times)] == steps


def test_a_show_of_given_seconds_ends_by_itself(stage):
    room = stage()
    room.shelf.fetch("here")
    play(
        room.evening,
        room.surface,
        room.clock,
        Pace(Fraction(16), by_display=False),
        stopped=lambda: False,
        seconds=2.0,
    )
    assert room.clock.monotonic() == pytest.approx(2.0, abs=0.1)


class Panel:
    def __init__(self, refresh_hz):
        self.refresh_hz = refresh_hz


@pytest.mark.parametrize(
    ("refresh_hz", "fps", "expected"),
    [
        (60.0, None, Pace(Fraction(60), by_display=True)),
        (59.94, None, Pace(Fraction(2997, 50), by_display=True)),
        (60.0, 24.0, Pace(Fraction(24), by_display=False)),
        (None, None, Pace(Fraction(60), by_display=False)),
        (None, 30.0, Pace(Fraction(30), by_display=False)),
    ],
)
def test_the_display_sets_the_pace_unless_somebody_asks_for_another(refresh_hz, fps, expected):
    assert pace_of(Panel(refresh_hz), fps) == expected
