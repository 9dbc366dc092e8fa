"""What a surface is: somewhere a frame can land. Knows no window library and draws nothing."""

from typing import Protocol

import moderngl


class SurfaceUnavailable(RuntimeError):
    """No picture can be shown here; the message says what is missing and what to do."""


class Surface(Protocol):
    """One place for frames. All methods belong to the thread that made the surface.

    A frame is: `begin()`, draw into `fbo`, `present()`, `poll()`.
    The surface's context is current after construction and after every `begin()`.
    """

    @property
    def ctx(self) -> moderngl.Context:
        """The context whose textures and programs this surface can draw; may be shared."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of what can be drawn now; may change after `poll()`."""

    @property
    def fbo(self) -> moderngl.Framebuffer:
        """The framebuffer to draw into; its row 0 is the bottom row."""

    @property
    def refresh_hz(self) -> float | None:
        """How often the display shows a new frame; None where nothing sets the pace."""

    def begin(self) -> None:
        """Make the context current and the framebuffer and viewport this surface's own."""

    def present(self) -> None:
        """Show what was drawn; on a synchronised display, return after the old frame has gone."""

    def poll(self) -> bool:
        """Look after the surface's events; False once somebody asked to close it, and ever after.

        Must be called at least every second or the desktop thinks the program has died.
        """

    def close(self) -> None:
        """Give everything back; a second call does nothing."""
