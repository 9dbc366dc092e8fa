"""What only memory promises; the rest is in contracts/test_surfaces.py."""

import threading

import numpy as np
import pytest

from installation.offscreen import OffscreenSurface, standalone_context
from installation.surface import SurfaceUnavailable

pytestmark = pytest.mark.gl


def test_missing_libraries_are_named_with_the_packages_to_install():
    with pytest.raises(SurfaceUnavailable, match=r"libNone.so.1 not loaded") as caught:
        standalone_context(("libGL.so.1", "libNone.so.1"))
    assert "apt-get install libegl1 libgl1 libgl1-mesa-dri" in str(caught.value)


@pytest.mark.parametrize("size", [(0, 9), (9, -1), (9, 10_000_000)])
def test_impossible_size_is_refused_with_the_possible_ones(size):
    with pytest.raises(SurfaceUnavailable, match=r"choose 1 to \d+ px a side"):
        OffscreenSurface(size)


def test_surfaces_of_one_thread_share_textures():
    first, second = OffscreenSurface((4, 4)), OffscreenSurface((8, 8))
    assert first.ctx is second.ctx
    first.close()
    second.close()


def test_surface_of_another_thread_has_a_context_of_its_own():
    here = OffscreenSurface((4, 4))
    there = []

    def draw():
        surface = OffscreenSurface((4, 4))
        surface.begin()
        surface.ctx.clear(0.0, 1.0, 0.0)
        surface.present()
        there.append((surface.ctx, surface.read()))
        surface.close()

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join(30)
    (ctx, picture) = there[0]
    assert ctx is not here.ctx
    assert (picture == (0, 255, 0)).all()
    here.close()


def test_what_was_read_is_not_changed_by_later_frames():
    surface = OffscreenSurface((3, 2))
    surface.ctx.clear(1.0, 1.0, 1.0)
    white = surface.read()
    surface.ctx.clear()
    assert (white == 255).all()
    assert (surface.read() == 0).all()
    assert white.shape == (2, 3, 3)
    assert white.dtype == np.uint8
    assert white.flags.c_contiguous
    surface.close()


def test_closing_leaves_no_error_for_the_next_surface():
    for _ in range(3):
        surface = OffscreenSurface((4, 4))
        surface.begin()
        surface.close()
        assert surface.ctx.error == "GL_NO_ERROR"
