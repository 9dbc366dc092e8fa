"""The OpenGL calls moderngl has no word for, and no other: mapped buffers, fences, current context.

Knows no torch, no numpy, no picture and no thread: callers stand on the thread of the context.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import moderngl

_PIXEL_UNPACK_BUFFER = 0x88EC
_MAP_WRITE = 0x0002
_MAP_PERSISTENT = 0x0040
_MAP_COHERENT = 0x0080
_MAPPING = _MAP_WRITE | _MAP_PERSISTENT | _MAP_COHERENT
_SYNC_GPU_COMMANDS_COMPLETE = 0x9117
_SIGNALLED = (0x911A, 0x911C)  # GL_ALREADY_SIGNALED, GL_CONDITION_SATISFIED
_WAIT_FAILED = 0x911D

# OpenGL 4.5 core profile specification, sections 6 and 4.1; result first, then arguments.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "glGenBuffers": (None, ctypes.c_int, ctypes.POINTER(ctypes.c_uint)),
    "glDeleteBuffers": (None, ctypes.c_int, ctypes.POINTER(ctypes.c_uint)),
    "glBindBuffer": (None, ctypes.c_uint, ctypes.c_uint),
    "glBufferStorage": (None, ctypes.c_uint, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_uint),
    "glMapBufferRange": (
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_uint,
    ),
    "glUnmapBuffer": (ctypes.c_ubyte, ctypes.c_uint),
    "glFenceSync": (ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint),
    "glClientWaitSync": (ctypes.c_uint, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint64),
    "glDeleteSync": (None, ctypes.c_void_p),
    "glFlush": (None,),
    "glFinish": (None,),
}  # fmt: skip


class GlRefused(RuntimeError):
    """OpenGL would not do what was asked; the message says what, and what to do."""


def call(ctx: moderngl.Context, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - C values
    """Call the OpenGL function `name`, which must be in the table above, in the current context."""
    return _function(ctx, name)(*arguments)


def _function(ctx: moderngl.Context, name: str) -> Callable[..., Any]:
    if ctx.extra is None:
        ctx.extra = {}
    functions = cast(dict[str, Callable[..., Any]], ctx.extra)
    if name not in functions:
        # moderngl keeps the loader of its own functions here (5.8 to 5.13); it needs no second
        # OpenGL binding and works alike for EGL and GLX contexts.
        address = cast(Any, ctx).mglo._context.load(name)
        functions[name] = ctypes.CFUNCTYPE(*_SIGNATURES[name])(address)
    return functions[name]


def make_current(ctx: moderngl.Context) -> None:
    """Make a standalone EGL context current on this thread, in the place of a window's."""
    gl = _library("libGL.so.1")
    if gl is not None and (display := _glx(gl, "glXGetCurrentDisplay")):
        gl.glXMakeCurrent(ctypes.c_void_p(display), ctypes.c_ulong(0), None)
    cast(Any, ctx).mglo._context.__enter__()


def current_glx_context() -> int:
    """The window's context that is current on this thread, as a number; 0 for none."""
    gl = _library("libGL.so.1")
    return 0 if gl is None else _glx(gl, "glXGetCurrentContext")


def _glx(gl: ctypes.CDLL, question: str) -> int:
    ask = gl[question]
    ask.restype = ctypes.c_void_p
    return int(ask() or 0)


def let_go_of_egl() -> None:
    """Leave this thread without a current EGL context, where it had one.

    GLX refuses to make a window's context current beside one of EGL, and the other way round
    (libglvnd keeps one table of calls per thread), so each must be let go of first.
    """
    egl = _library("libEGL.so.1")
    if egl is not None:
        egl.eglReleaseThread()


@cache
def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None  # where it is missing, no context of it can be current


def can_map(ctx: moderngl.Context) -> bool:
    """Whether buffers can stay mapped while the GPU reads them (OpenGL 4.4 or its extension)."""
    return ctx.version_code >= 440 or "GL_ARB_buffer_storage" in ctx.extensions


def finish(ctx: moderngl.Context) -> None:
    """Wait for OpenGL. Unlike moderngl's, this wait leaves Python's lock to other threads."""
    call(ctx, "glFinish")


class MappedBuffer:
    """`nbytes` of OpenGL's memory that stay mapped for writing until `release()`.

    `memory` may be written from any thread and must never be read: on a GPU it is write-combined.
    """

    def __init__(self, ctx: moderngl.Context, nbytes: int) -> None:
        self._ctx = ctx
        name = ctypes.c_uint()
        call(ctx, "glGenBuffers", 1, ctypes.byref(name))
        call(ctx, "glBindBuffer", _PIXEL_UNPACK_BUFFER, name)
        call(ctx, "glBufferStorage", _PIXEL_UNPACK_BUFFER, nbytes, None, _MAPPING)
        address = call(ctx, "glMapBufferRange", _PIXEL_UNPACK_BUFFER, 0, nbytes, _MAPPING)
        call(ctx, "glBindBuffer", _PIXEL_UNPACK_BUFFER, 0)
        if not address:
            call(ctx, "glDeleteBuffers", 1, ctypes.byref(name))
            raise GlRefused(
                f"OpenGL ({ctx.info['GL_RENDERER']}) would not map {nbytes} bytes "
                f"({ctx.error}); use the copy route or a smaller model"
            )
        self._name = name
        self.memory: ctypes.Array[ctypes.c_ubyte] = _memory_type(nbytes).from_address(address)
        self.buffer = ctx.external_buffer(name.value, nbytes)

    def release(self) -> None:
        """Unmap and delete. Anybody still writing through `memory` would crash the process."""
        call(self._ctx, "glBindBuffer", _PIXEL_UNPACK_BUFFER, self._name)
        call(self._ctx, "glUnmapBuffer", _PIXEL_UNPACK_BUFFER)
        call(self._ctx, "glBindBuffer", _PIXEL_UNPACK_BUFFER, 0)
        call(self._ctx, "glDeleteBuffers", 1, ctypes.byref(self._name))


def _memory_type(nbytes: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    """An array type made in Python, so that its instances can be weakly referenced."""
    return type("Memory", (ctypes.Array,), {"_type_": ctypes.c_ubyte, "_length_": nbytes})


class Fence:
    """A mark in the stream of OpenGL commands: has the GPU got past it?"""

    def __init__(self, ctx: moderngl.Context) -> None:
        self._ctx = ctx
        self._sync = call(ctx, "glFenceSync", _SYNC_GPU_COMMANDS_COMPLETE, 0)
        call(ctx, "glFlush")  # an unflushed fence may never be reached

    def passed(self) -> bool:
        """Whether everything before the fence is done; never waits. Deletes itself once it is."""
        if self._sync is None:
            return True
        state = call(self._ctx, "glClientWaitSync", self._sync, 0, 0)
        if state == _WAIT_FAILED:
            raise GlRefused(f"OpenGL lost a fence ({self._ctx.error}); the context is unusable")
        if state in _SIGNALLED:
            self.release()
        return self._sync is None

    def release(self) -> None:
        """Forget the fence, passed or not."""
        if self._sync is not None:
            call(self._ctx, "glDeleteSync", self._sync)
            self._sync = None
