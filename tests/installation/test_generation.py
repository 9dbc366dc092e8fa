from contextlib import suppress

import numpy as np
import pytest

from installation.clock import ManualClock
from installation.frame_plan import models_within, plan
from installation.generation import AHEAD, Generation, batches, stamp
from installation.governor import Governor
from installation.health import Health
from installation.model_shelf import ModelShelf
from installation.show import parse_show
from installation.state import Grid, SetGrid, SetSpeed, apply, initial_state
from models.testcard import TestCard

ONE = """
title: One scene
scenes:
  - {name: a, model: testcard, walk: {kind: random, seed: 1}, for: 10 min}
"""
TWO = """
title: Two scenes
pacing: {crossfade: 2 s}
scenes:
  - {name: a, model: one, walk: {kind: random, seed: 1}, for: 10 s}
  - {name: b, model: two, walk: {kind: random, seed: 2}, for: 10 s}
"""


class FakeRing:
    """Slots of numpy memory; what is published shows at the next turn."""

    def __init__(self, images, resolution, slots=3):
        self.shape = (images, 3, resolution, resolution)
        self.free = [self._slot() for _ in range(slots)]
        self.written, self.shown, self.closed, self.out = {}, {}, False, []

    def _slot(self):
        class Slot:
            array = np.full(self.shape, np.nan, np.float32)

        return Slot()

    def acquire(self):
        if not self.free:
            return None
        self.out.append(self.free.pop())
        return self.out[-1]

    def publish(self, slot, tick):
        self.out.remove(slot)
        self.written[tick] = slot

    def abandon(self, slot):
        self.out.remove(slot)
        self.free.append(slot)

    def turn(self, keep_from_tick):
        for tick, slot in self.written.items():
            self.shown[tick] = slot.array.copy()
            self.free.append(slot)
        self.written.clear()

    def texture(self, tick):
        return self.shown.get(tick)

    def nearest(self, tick):
        before = [at for at in self.shown if at <= tick]
        return (max(before), self.shown[max(before)]) if before else None

    def after(self, tick):
        later = [at for at in self.shown if at > tick]
        return (min(later), self.shown[min(later)]) if later else None

    def close(self):
        assert not self.out, "closed while a picture was being made"
        self.closed = True


class Room:
    """A generation on a clock moved by hand, with rings and models that can be made to fail."""

    def __init__(self, text=ONE, *, now=1000.0, rate=32, models=None, governor=None):
        self.clock = ManualClock(now)
        self.show = parse_show(text, "room.yaml")
        self.models = models or {}
        self.rings = []
        self.health = Health(self.clock)
        self.shelf = ModelShelf(
            self._load,
            images=1,
            monotonic=self.clock.monotonic,
            bytes_needed=lambda name: 0,
            bytes_free=lambda: 1,
        )
        self.generation = Generation(
            self.shelf, self._ring, self.clock.monotonic, self.health, governor
        )
        self.state = initial_state(self.show, Grid(rate))
        self.generation.brief(self.show, self.state)

    def _load(self, name):
        if name == "gone":
            raise FileNotFoundError("gone")
        return self.models.get(name) or TestCard()

    def _ring(self, model, images):
        self.rings.append(FakeRing(images, model.resolution))
        return self.rings[-1]

    def turn(self):
        for name in models_within(self.show, self.state, self.clock.now(), 10.0):
            with suppress(FileNotFoundError):
                self.shelf.fetch(name)
        self.generation.turn(self.clock.now())

    def fill(self):
        """Make and show everything that can be made at this moment; how many images."""
        count = 0
        self.turn()
        while self.generation.step(self.clock.now()):
            count += 1
            self.generation.turn(self.clock.now())
        return count

    def plan(self):
        return plan(self.show, self.state, self.clock.now())[0]

    def command(self, command):
        self.state = apply(self.state, command, self.clock.now())
        self.generation.brief(self.show, self.state)


def test_images_are_made_ahead_and_not_twice():
    room = Room()
    assert room.fill() == AHEAD + 1
    assert room.fill() == 0
    room.clock.advance(1 / 32)
    assert room.fill() == 1


def test_the_two_neighbours_of_the_moment_are_shown_with_its_blend():
    room = Room(now=1000.0 + 0.25 / 32)
    room.fill()
    (shown,) = room.generation.pictures(room.plan())
    assert shown.blend == pytest.approx(0.25)
    tick = room.state.grid.tick(room.clock.now())
    ring = room.rings[0]
    assert np.array_equal(shown.earlier, ring.shown[stamp(tick, 32)])
    assert np.array_equal(shown.later, ring.shown[stamp(tick + 1, 32)])


def test_an_image_depends_on_its_tick_alone_and_not_on_what_was_made_before():
    early, late = Room(now=1000.0), Room(now=1000.0 + 2 / 32)
    early.fill()
    late.fill()
    at = stamp(32 * 1000 + 3, 32)
    assert np.array_equal(early.rings[0].shown[at], late.rings[0].shown[at])


def test_a_new_speed_makes_the_images_ahead_again():
    room = Room()
    room.fill()
    room.command(SetSpeed(3.0))
    assert room.fill() >= AHEAD - 1


def test_on_a_finer_grid_images_at_the_same_times_stay():
    room = Room(rate=32)
    room.fill()
    room.command(SetGrid(Grid(64)))
    assert room.fill() == 2  # ticks 1 and 3; 0 and 2 are those of before
    assert room.generation.ready(room.plan())


def test_late_ticks_are_left_out_and_counted():
    room = Room()
    room.fill()
    room.clock.advance(20 / 32)
    room.fill()
    assert room.health.report().images_missed == 20 - AHEAD
    assert room.generation.ready(room.plan())


def test_an_image_that_fails_keeps_the_one_before_and_is_counted():
    class Failing(TestCard):
        fail = False

        def synthesize(self, ws, out=None):
            if self.fail:
                raise RuntimeError("out of paint")
            return super().synthesize(ws, out)

    model = Failing()
    room = Room(models={"testcard": model})
    room.fill()
    before = room.generation.pictures(room.plan())[0].earlier
    model.fail = True
    for _ in range(8):
        room.clock.advance(1 / 32)
        room.fill()
    (shown,) = room.generation.pictures(room.plan())
    assert np.array_equal(shown.earlier, room.rings[0].nearest(10**12)[1])
    assert not np.array_equal(shown.earlier, before)  # the last of those made ahead
    assert room.health.report().images_failed == 8
    assert room.health.report().last_error == "image: RuntimeError: out of paint"
    model.fail = False
    room.clock.advance(1 / 32)
    room.fill()
    (shown,) = room.generation.pictures(room.plan())
    assert 0.0 < shown.blend < 1.0  # on its way over the gap to the first that could be made


def test_without_a_free_slot_nothing_is_made_and_nothing_is_lost():
    room = Room()
    room.turn()
    made = 0
    while room.generation.step(room.clock.now()):
        made += 1
    assert made == 3  # the slots of the ring
    room.generation.turn(room.clock.now())
    assert room.generation.step(room.clock.now())


def test_a_crossfade_has_a_ring_for_each_scene_before_it_begins():
    room = Room(TWO, now=1_000_008.5)
    room.fill()
    assert [layer.scene for layer in room.plan().layers] == ["a"]
    assert len(room.rings) == 2
    room.clock.advance(2.5)
    room.fill()
    shown = room.generation.pictures(room.plan())
    assert [layer.scene for layer in room.plan().layers] == ["a", "b"]
    assert len(shown) == 2
    assert shown[0].opacity == 1.0
    assert 0.0 < shown[1].opacity < 1.0


def test_the_ring_of_a_scene_that_has_gone_is_closed():
    room = Room(TWO, now=1_000_011.5)
    room.fill()
    room.generation.pictures(room.plan())
    room.clock.advance(4.0)
    for _ in range(2):
        room.fill()
        room.generation.pictures(room.plan())
    room.turn()
    assert [ring.closed for ring in room.rings].count(True) == 1


def test_a_scene_without_its_model_is_not_ready_and_the_others_go_on():
    room = Room(TWO.replace("model: two", "model: gone"), now=1_000_005.0)
    room.fill()
    assert room.generation.ready(room.plan())
    room.generation.pictures(room.plan())
    room.clock.advance(9.0)
    room.fill()
    assert not room.generation.ready(room.plan())
    assert not room.rings[0].closed  # its last picture is still on the wall
    room.clock.advance(10.0)
    room.fill()
    assert room.generation.ready(room.plan())


def test_a_change_of_grid_moves_the_picture_no_more_than_time_does():
    room = Room(rate=16)
    room.fill()
    room.clock.advance(0.25 / 16)

    def picture():
        (shown,) = room.generation.pictures(room.plan())
        return shown.earlier + (shown.later - shown.earlier) * shown.blend

    before = picture()
    for rate in (64, 4, 16):
        room.command(SetGrid(Grid(rate)))
        room.generation.turn(room.clock.now())
        assert np.allclose(picture(), before, atol=1e-6)


def test_pictures_on_the_wall_stay_while_their_scene_has_no_newer_ones():
    room = Room(TWO.replace("model: two", "model: gone"), now=1_000_005.0)
    room.fill()
    (shown,) = room.generation.pictures(room.plan())
    asked = []
    ring = room.rings[0]
    turn = ring.turn
    ring.turn = lambda keep_from: (asked.append(keep_from), turn(keep_from))
    room.clock.advance(14.5)  # scene a is about to come again; its old pictures are still shown
    room.fill()
    assert max(asked) <= shown.since


def test_a_ring_that_can_not_be_built_is_told_once_and_not_tried_every_frame():
    room = Room()
    tries = []

    def no_memory(model, images):
        tries.append(1)
        raise MemoryError("no room for textures")

    room.generation._make_ring = no_memory
    for _ in range(50):
        room.turn()
    assert len(tries) == 1
    assert room.health.report().last_error == "image: MemoryError: no room for textures"
    room.generation._make_ring = room._ring
    room.clock.advance(61.0)
    room.fill()
    assert room.generation.ready(room.plan())


def test_an_image_that_can_not_be_moved_does_not_end_the_frame():
    room = Room()
    room.fill()

    def broken(keep_from):
        raise RuntimeError("lost context")

    room.rings[0].turn = broken
    room.turn()
    assert room.generation.ready(room.plan())
    assert room.health.report().last_error == "image: RuntimeError: lost context"


def test_the_picture_thread_survives_whatever_a_step_raises():
    room = Room()
    room.turn()

    def broken():
        raise OSError("a slot that can't be lent")

    room.rings[0].acquire = broken
    assert room.generation.try_step(room.clock.now()) is False
    assert room.health.report().images_failed == 1


def test_short_turns_do_not_build_rings_again_and_again():
    short = TWO.replace("for: 10 s", "for: 1 s").replace("crossfade: 2 s", "crossfade: 0 s")
    room = Room(short)
    for _ in range(4 * 16):
        room.clock.advance(1 / 16)
        room.fill()
        room.generation.pictures(room.plan())
    assert len(room.rings) == 2


def test_a_slow_model_brings_a_coarser_grid():
    class Slow(TestCard):
        clock = None

        def synthesize(self, ws, out=None):
            self.clock.advance(0.045)
            return super().synthesize(ws, out)

    room = Room(models={"testcard": Slow()}, rate=60, governor=Governor(60))
    Slow.clock = room.clock
    for _ in range(40):
        room.turn()
        room.generation.step(room.clock.now())
    assert room.generation.rate_hz() == 15


def test_make_for_rendering_misses_nothing():
    room = Room()
    room.shelf.fetch("testcard")
    for tick in (32_000, 32_001, 32_020):
        room.generation.make(tick)
        assert stamp(tick, 32) in room.rings[0].shown


def test_close_gives_every_ring_back():
    room = Room(TWO, now=1_000_011.0)
    room.fill()
    room.generation.close()
    assert all(ring.closed for ring in room.rings)


def test_a_batch_has_one_latent_for_each_channel_in_their_order():
    show = parse_show(ONE, "room.yaml")
    ((key, latents),) = batches(show, initial_state(show, Grid(32)), 5)
    assert key == ("a", "testcard")
    assert len(latents) == len(show.channels)
