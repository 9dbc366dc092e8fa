"""Images arrive in textures bit for bit, in order, and never torn."""

import logging
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.offscreen import OffscreenSurface
from installation.slot_memory import CopiedMemory, numpy_view
from installation.upload import Ring, Route, choose_route, torch_view

pytestmark = pytest.mark.gl

MAPPED, COPY = Route("mapped", "test"), Route("copy", "test")
SIDE = 4


@pytest.fixture(scope="module")
def ctx():
    surface = OffscreenSurface((8, 8))
    yield surface.ctx
    assert surface.ctx.error == "GL_NO_ERROR"
    surface.close()


def ring_of(ctx, route=MAPPED, **changes):
    settings = {"images": 1, "height": SIDE, "width": SIDE, "dtype": "f4", "array": "numpy"}
    return Ring(ctx, route=route, **{**settings, **changes})


@pytest.fixture(params=[MAPPED, COPY], ids=lambda route: route.name)
def ring(ctx, request):
    made = ring_of(ctx, request.param)
    yield made
    made.close()
    assert ctx.error == "GL_NO_ERROR"


def give(ring, tick, value=None):
    slot = ring.acquire()
    slot.array[...] = tick if value is None else value
    ring.publish(slot, tick)


def value_of(texture, dtype="f4"):
    values = np.unique(np.frombuffer(texture.read(), dtype))
    assert len(values) == 1, f"torn: {values}"
    return float(values[0])


# -- bit for bit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [MAPPED, COPY], ids=lambda route: route.name)
@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("shape", [(1, 3, 5), (2, 7, 3), (3, 16, 16)])
def test_images_arrive_bit_for_bit(ctx, route, array, dtype, shape):
    images, height, width = shape
    ring = ring_of(ctx, route, images=images, height=height, width=width, dtype=dtype, array=array)
    made = np.random.default_rng(7).standard_normal((images, 3, height, width)).astype(dtype)
    slot = ring.acquire()
    if array == "torch":
        import torch

        torch.add(torch.from_numpy(made), 0.0, out=slot.array)
    else:
        np.add(made, 0, out=slot.array)
    ring.publish(slot, 5)
    assert ring.turn(5) == 1
    texture = ring.texture(5)
    assert (texture.width, texture.height, texture.layers) == (width, height, 3 * images)
    assert texture.read() == made.tobytes()
    ring.close()


@pytest.mark.parametrize("route", [MAPPED, COPY], ids=lambda route: route.name)
def test_every_half_float_survives_the_journey(ctx, route):
    ring = ring_of(ctx, route, height=86, width=256, dtype="f2")
    every = np.arange(3 * 86 * 256).astype(np.uint16).view(np.float16).reshape(1, 3, 86, 256)
    give(ring, 1, every)
    ring.turn(1)
    numbers = ~np.isnan(every)
    arrived = np.frombuffer(ring.texture(1).read(), np.float16).reshape(every.shape)
    assert np.array_equal(arrived.view(np.uint16)[numbers], every.view(np.uint16)[numbers])
    assert np.isnan(arrived[~numbers]).all()
    ring.close()


def test_slots_have_the_shape_and_kind_asked_for(ctx):
    import torch

    for route in (MAPPED, COPY):
        half = ring_of(ctx, route, images=2, dtype="f2", array="torch")
        slot = half.acquire()
        assert slot.array.shape == (2, 3, SIDE, SIDE)
        assert slot.array.dtype == torch.float16
        assert slot.array.is_contiguous()
        half.abandon(slot)
        del slot
        half.close()


# -- round and round -------------------------------------------------------------------------------


def test_ring_without_images_has_nothing_to_show(ring):
    assert ring.turn(0) == 0
    assert ring.texture(0) is None
    assert ring.nearest(0) is None


def test_worker_gets_every_slot_once_and_then_none(ring):
    slots = [ring.acquire() for _ in range(3)]
    assert len({id(slot) for slot in slots}) == 3
    assert ring.acquire() is None
    for slot in slots:
        ring.abandon(slot)
    assert ring.acquire() is not None


def test_published_images_are_shown_after_the_next_turn(ring):
    give(ring, 3)
    assert ring.texture(3) is None
    assert ring.turn(3) == 1
    assert value_of(ring.texture(3)) == 3


def test_abandoned_images_are_never_shown(ring):
    slot = ring.acquire()
    slot.array[...] = 9
    ring.abandon(slot)
    assert ring.turn(0) == 0
    assert ring.nearest(0) is None


def test_later_batch_of_a_tick_replaces_the_earlier(ring):
    give(ring, 3, 1.0)
    ring.turn(3)
    give(ring, 3, 2.0)
    ring.turn(3)
    assert value_of(ring.texture(3)) == 2.0


def test_both_neighbours_and_those_to_come_are_kept(ring):
    for tick in range(10, 14):
        give(ring, tick)
        ring.turn(10)
    assert [value_of(ring.texture(tick)) for tick in range(10, 14)] == [10, 11, 12, 13]


def test_last_picture_stays_while_the_next_is_late(ring):
    for tick in (1, 2):
        give(ring, tick)
        ring.turn(1)
    ring.turn(90)
    assert ring.texture(1) is None
    assert ring.nearest(90)[0] == 2
    assert value_of(ring.nearest(90)[1]) == 2


def test_nearest_is_the_newest_not_after_else_the_first(ring):
    for tick in (4, 6):
        give(ring, tick)
    ring.turn(0)
    assert [ring.nearest(tick)[0] for tick in (0, 4, 5, 6, 7)] == [4, 4, 4, 6, 6]


def test_image_that_a_newer_one_has_overtaken_is_dropped(ring):
    give(ring, 8)
    ring.turn(8)
    give(ring, 7)
    assert ring.turn(8) == 0
    assert ring.texture(7) is None


def test_late_image_is_shown_where_nothing_newer_is_due(ring):
    give(ring, 12)
    ring.turn(8)
    give(ring, 7)
    assert ring.turn(8) == 1
    assert ring.nearest(8)[0] == 7


def test_written_slots_wait_while_all_textures_are_taken(ctx):
    ring = ring_of(ctx, textures=2)
    for tick in (1, 2, 3):
        give(ring, tick)
    assert ring.turn(1) == 2
    assert ring.texture(3) is None
    assert ring.turn(2) == 1
    assert value_of(ring.texture(3)) == 3
    ring.close()


def test_time_going_back_takes_the_furthest_texture(ctx):
    ring = ring_of(ctx, textures=2)
    for tick in (100, 101):
        give(ring, tick)
    ring.turn(100)
    give(ring, 5)
    assert ring.turn(5) == 1
    assert value_of(ring.texture(5)) == 5
    assert ring.texture(100) is not None
    ring.close()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_shown_textures_hold_their_own_tick_in_any_order(ctx, moves):
    ring = ring_of(ctx, COPY, textures=3)
    for tick, keep in moves:
        if (slot := ring.acquire()) is not None:
            slot.array[...] = tick
            ring.publish(slot, tick)
        ring.turn(keep)
        for asked in range(10):
            texture = ring.texture(asked)
            assert texture is None or value_of(texture) == asked
    if moves:
        assert ring.nearest(0) is not None
    ring.close()


# -- threads and the end ---------------------------------------------------------------------------


@pytest.mark.parametrize("route", [MAPPED, COPY], ids=lambda route: route.name)
def test_no_frame_is_torn_while_a_worker_writes(ctx, route):
    ring = ring_of(ctx, route, images=2, height=64, width=64)
    stop = threading.Event()

    def work():
        tick = 0
        while not stop.is_set():
            slot = ring.acquire()
            if slot is None:
                os.sched_yield()
                continue
            tick += 1
            for row in range(64):  # slowly, so that a reader in between would see half
                slot.array[:, :, row] = tick
            ring.publish(slot, tick)

    worker = threading.Thread(target=work)
    worker.start()
    latest, moved = 0, 0
    give_up_s = time.monotonic() + 60.0
    while moved < 150 and time.monotonic() < give_up_s:
        moved += ring.turn(latest)
        newest = ring.nearest(1 << 40)
        if newest is not None:
            tick, texture = newest
            assert tick >= latest
            assert value_of(texture) == tick
            latest = tick
        os.sched_yield()
    stop.set()
    worker.join(30)
    assert moved >= 150
    ring.close()
    assert ctx.error == "GL_NO_ERROR"


def test_closed_ring_gives_no_slots_and_may_be_closed_again(ring):
    give(ring, 1)
    ring.turn(1)
    ring.close()
    ring.close()
    assert ring.acquire() is None
    assert ring.texture(1) is None


def test_memory_that_is_still_held_is_left_mapped(ctx, caplog):
    ring = ring_of(ctx, slots=1)
    slot = ring.acquire()
    held = slot.array
    ring.publish(slot, 1)
    ring.turn(1)
    with caplog.at_level(logging.WARNING):
        ring.close()
    assert "leaving it mapped" in caplog.text
    held[...] = 1.0  # would crash the process if it were unmapped
    assert ctx.error == "GL_NO_ERROR"


def test_closing_under_a_writing_worker_leaves_its_memory(ctx, caplog):
    ring = ring_of(ctx)
    slot = ring.acquire()
    with caplog.at_level(logging.WARNING):
        ring.close()
    assert "1 slots are still being written" in caplog.text
    slot.array[...] = 2.0
    ring.abandon(slot)
    assert ring.acquire() is None


def test_failing_upload_loses_neither_slot_nor_texture(ctx):
    class Sick(CopiedMemory):
        sick = True

        def move(self, texture):
            if Sick.sick:
                raise OSError("the driver is gone")
            super().move(texture)

    shape = (1, 3, SIDE, SIDE)
    ring = ring_of(ctx, slots=2, textures=2, memory=lambda: Sick(shape, "f4", numpy_view))
    for tick in (1, 2):
        give(ring, tick)
    with pytest.raises(OSError, match="driver"):
        ring.turn(1)
    Sick.sick = False
    assert ring.turn(2) == 1
    assert value_of(ring.texture(2)) == 2
    for tick in (3, 4):
        give(ring, tick)
    assert ring.turn(4) == 1
    assert ring.turn(4) == 1
    assert value_of(ring.texture(4)) == 4
    ring.close()


def test_slot_comes_back_only_when_its_memory_has_recovered(ctx):
    class Slow(CopiedMemory):
        done = False

        def recovered(self):
            return Slow.done

    ring = ring_of(ctx, slots=1, memory=lambda: Slow((1, 3, SIDE, SIDE), "f4", numpy_view))
    give(ring, 1)
    ring.turn(1)
    ring.turn(1)
    assert ring.acquire() is None
    Slow.done = True
    ring.turn(1)
    assert ring.acquire() is not None
    ring.close()


def test_ring_with_a_single_texture_is_a_mistake(ctx):
    with pytest.raises(AssertionError, match="two textures"):
        ring_of(ctx, textures=1)


# -- which route -----------------------------------------------------------------------------------


def test_models_on_the_cpu_write_into_mapped_memory(ctx):
    assert choose_route(ctx, "cpu") == Route("mapped", "the model runs on the CPU", "cpu")


def test_old_opengl_gets_plain_copies_and_is_told_why():
    class OldContext:
        version_code = 330
        extensions = frozenset()

    route = choose_route(OldContext(), "cpu")
    assert route.name == "copy"
    assert route.why == "the model runs on the CPU; OpenGL 3.3 cannot keep buffers mapped"


def test_views_name_the_very_memory_they_are_given():
    memory = bytearray(2 * 3 * 2 * 2 * 4)
    torch_view(memory, (2, 3, 2, 2), "f4").fill_(1.5)
    assert (numpy_view(memory, (2, 3, 2, 2), "f4") == 1.5).all()
