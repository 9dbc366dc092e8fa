"""A surface that is memory, for tests, stills, films and walls without a display.

Knows no window system and needs none: it draws through EGL. Refuses to know what is drawn.
"""

import threading
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from installation.gl_calls import finish, make_current
from installation.surface import SurfaceUnavailable

_REMEDY = (
    "install the OpenGL libraries (Debian, Ubuntu: apt-get install libegl1 libgl1 "
    "libgl1-mesa-dri; in a container with an NVIDIA GPU also set "
    "NVIDIA_DRIVER_CAPABILITIES=all)"
)
_LIBRARIES = ("libGL.so.1", "libEGL.so.1")
_of_thread = threading.local()


class OffscreenSurface:
    """A framebuffer of `size` = (width, height) pixels, 8 bits a channel.

    All offscreen surfaces of a thread share one context (made once, 0.3 s on llvmpipe), so
    their textures and programs are interchangeable. Raises SurfaceUnavailable.
    """

    refresh_hz: float | None = None

    def __init__(self, size: tuple[int, int]) -> None:
        self.ctx = _context_of_thread()
        largest = int(self.ctx.info["GL_MAX_TEXTURE_SIZE"])
        if not all(1 <= edge <= largest for edge in size):
            raise SurfaceUnavailable(
                f"offscreen surface: size {size[0]}x{size[1]} px cannot be drawn by "
                f"{self.ctx.info['GL_RENDERER']}; choose 1 to {largest} px a side"
            )
        self.size = size
        self._texture = self.ctx.texture(size, 4)
        self.fbo = self.ctx.framebuffer([self._texture])
        self._pixels = bytearray(4 * size[0] * size[1])
        self._closed = False
        self.begin()
        self.fbo.clear()

    def begin(self) -> None:
        """Make the context current and the framebuffer and viewport this surface's own."""
        make_current(self.ctx)
        self.fbo.use()
        self.fbo.viewport = (0, 0, *self.size)

    def present(self) -> None:
        """Wait until the frame is drawn: memory has no swap to wait for."""
        finish(self.ctx)

    def poll(self) -> bool:
        """Nobody can ask memory to close: True until `close()`."""
        return not self._closed

    def read(self) -> npt.NDArray[np.uint8]:
        """The picture last drawn: a new uint8 array [H, W, 3], top row first."""
        width, height = self.size
        self.fbo.read_into(self._pixels, components=4)  # RGBA: no repacking by the driver
        rgba = np.frombuffer(self._pixels, np.uint8).reshape(height, width, 4)
        picture = np.empty((height, width, 3), np.uint8)
        for colour in range(3):  # 0.4 ms at 512 x 512; one slice of all three takes 2.9 ms
            picture[:, :, colour] = rgba[::-1, :, colour]
        return picture

    def close(self) -> None:
        """Give the framebuffer back; the thread's context stays for the next surface."""
        if not self._closed:
            self._closed = True
            _of_thread.home.use()  # moderngl returns to the last framebuffer, which must exist
            self.fbo.release()
            self._texture.release()


def _context_of_thread() -> moderngl.Context:
    if not hasattr(_of_thread, "ctx"):
        _of_thread.ctx = standalone_context()
        _of_thread.home = _of_thread.ctx.simple_framebuffer((1, 1))
    ctx: moderngl.Context = _of_thread.ctx
    make_current(ctx)
    return ctx


def standalone_context(libraries: tuple[str, str] = _LIBRARIES) -> moderngl.Context:
    """A new context without a window, current on this thread; `libraries` are OpenGL's and EGL's.

    moderngl's own EGL context, not pyglet's headless window: it starts in half the time, leaves
    pyglet and X out of the process, and loads the libraries by the names every system has.
    Raises SurfaceUnavailable.
    """
    settings: dict[str, Any] = {"backend": "egl", "libgl": libraries[0], "libegl": libraries[1]}
    try:
        return moderngl.create_context(require=330, standalone=True, **settings)
    except Exception as error:  # moderngl raises bare Exception
        raise SurfaceUnavailable(
            f"offscreen surface: no OpenGL context through EGL ({error}); {_REMEDY}"
        ) from error
