"""The few raw OpenGL calls: mapping, fences, the current context."""

import ctypes
import weakref

import numpy as np
import pytest

from installation.gl_calls import Fence, GlRefused, MappedBuffer, finish
from installation.offscreen import OffscreenSurface

pytestmark = pytest.mark.gl


@pytest.fixture
def ctx():
    surface = OffscreenSurface((8, 8))
    yield surface.ctx
    assert surface.ctx.error == "GL_NO_ERROR"
    surface.close()


def test_what_is_written_into_the_mapping_is_in_the_buffer(ctx):
    mapped = MappedBuffer(ctx, 64)
    ctypes.memmove(mapped.memory, bytes(range(64)), 64)
    copy = ctx.buffer(reserve=64)
    ctx.copy_buffer(copy, mapped.buffer)
    assert copy.read() == bytes(range(64))
    copy.release()
    mapped.release()


def test_views_keep_the_memory_alive_and_can_be_counted(ctx):
    mapped = MappedBuffer(ctx, 64)
    memory = weakref.ref(mapped.memory)
    view = np.frombuffer(mapped.memory, np.float32)
    del mapped.memory
    assert memory() is not None
    del view
    assert memory() is None
    mapped.release()


def test_impossible_mapping_is_refused_with_its_size(ctx):
    with pytest.raises(GlRefused, match=r"would not map 4611686018427387904 bytes .*copy route"):
        MappedBuffer(ctx, 1 << 62)


def test_fence_has_passed_once_opengl_is_finished(ctx):
    fence = Fence(ctx)
    finish(ctx)
    assert fence.passed()
    assert fence.passed()
    fence.release()


def test_unpassed_fence_can_be_forgotten(ctx):
    fence = Fence(ctx)
    fence.release()
    fence.release()
