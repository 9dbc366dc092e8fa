"""A surface that is a window on a named monitor, through pyglet and X11.

Refuses to know what is drawn, and when: the caller's loop drives it, never pyglet's.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import moderngl

from installation.gl_calls import current_glx_context, let_go_of_egl
from installation.surface import SurfaceUnavailable

EVERY = "all"  # the output that is one window over all monitors


@dataclass(frozen=True)
class Screen:
    """One monitor's rectangle on the desktop, in pixels, y downwards from the top left."""

    name: str  # of the output or monitor, as X knows it
    x: int
    y: int
    width: int
    height: int
    primary: bool = False  # the one that X calls so


def choose_screen(screens: Sequence[Screen], output: str | None) -> Screen:
    """The screen called `output`; None: the primary, else the topmost left; "all": around all.

    Chosen by name, because the order of screens changes when a cable is pulled. Raises
    SurfaceUnavailable.
    """
    if not screens:
        raise SurfaceUnavailable("window: X names no monitor; check the cables and `xrandr`")
    if output is None:
        return min(screens, key=lambda screen: (not screen.primary, screen.y, screen.x))
    if output == EVERY:
        return _around(screens)
    for screen in screens:
        if screen.name == output:
            return screen
    names = ", ".join(f"{screen.name} ({screen.width}x{screen.height})" for screen in screens)
    raise SurfaceUnavailable(
        f"window: there is no monitor called {output!r}; here are: {names}; "
        f"name one of them, or {EVERY!r} for one window over all"
    )


def _around(screens: Sequence[Screen]) -> Screen:
    left, top = min(s.x for s in screens), min(s.y for s in screens)
    right = max(s.x + s.width for s in screens)
    bottom = max(s.y + s.height for s in screens)
    return Screen(EVERY, left, top, right - left, bottom - top)


class WindowSurface:
    """A borderless full-screen window without a cursor, or a plain one of `size` pixels.

    Escape, or closing it on the desktop, makes `poll` False. Raises SurfaceUnavailable.
    """

    def __init__(
        self,
        output: str | None = None,              # monitor; None: the primary; "all": every one
        *,
        fullscreen: bool = True,
        size: tuple[int, int] = (1024, 1024),   # width, height; not used when full-screen
        vsync: bool = True,                     # `present` waits for the display
    ) -> None:  # fmt: skip
        let_go_of_egl()
        try:
            screens = _x_screens()
            screen = choose_screen([rectangle for rectangle, _ in screens], output)
            monitor = dict(screens).get(screen)
            self._window = _open(screen, monitor, fullscreen, size, vsync)
            self.ctx = _context()
        except SurfaceUnavailable:
            raise
        except Exception as error:  # pyglet's own are many and share no parent
            raise SurfaceUnavailable(_no_window(error)) from error
        self.refresh_hz = _refresh_hz(monitor) if vsync else None
        self._asked_to_close = False
        self._closed = False
        self._window.push_handlers(
            on_close=self._ask_to_close, on_key_press=self._key, on_resize=self._resized
        )
        self._glx_context = current_glx_context()
        self._screen = self.ctx.detect_framebuffer(0)
        self.begin()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as large as the window is now."""
        width, height = self._window.get_framebuffer_size()
        return int(width), int(height)

    @property
    def fbo(self) -> moderngl.Framebuffer:
        """The window's back buffer."""
        return self._screen

    def begin(self) -> None:
        """Make the context current and the framebuffer and viewport this surface's own."""
        if current_glx_context() != self._glx_context:  # switching costs a flush
            let_go_of_egl()
            self._window.switch_to()
        self._screen.use()
        self._screen.viewport = (0, 0, *self.size)

    def present(self) -> None:
        """Swap; with vsync this waits for the display, and leaves Python's lock to others."""
        self._window.flip()

    def poll(self) -> bool:
        """Look after the window's events; False once somebody asked to close it."""
        if not self._closed:
            self._window.dispatch_events()
        return not self._asked_to_close

    def close(self) -> None:
        """Close the window; its textures and programs die with its context."""
        if not self._closed:
            self._closed = self._asked_to_close = True
            self._window.close()

    def _ask_to_close(self) -> bool:
        self._asked_to_close = True
        return True  # pyglet would close the window before our textures are given back

    def _key(self, symbol: int, _modifiers: int) -> bool:
        if symbol == 0xFF1B:  # Escape, in X11's keysymdef.h and pyglet's window.key
            self._asked_to_close = True
        return True

    def _resized(self, _width: int, _height: int) -> bool:
        return True  # pyglet would set a projection of its own


def screens() -> list[Screen]:
    """The monitors that X knows, for a person to choose from. Raises SurfaceUnavailable."""
    try:
        return [rectangle for rectangle, _ in _x_screens()]
    except Exception as error:  # pyglet's own are many and share no parent
        raise SurfaceUnavailable(_no_window(error)) from error


def _x_screens() -> list[tuple[Screen, Any]]:
    import pyglet

    pyglet.options.debug_gl = False  # one glGetError after every call otherwise
    pyglet.options.shadow_window = False  # a hidden second window and context otherwise
    from pyglet.display import get_display

    return [(_rectangle(monitor), monitor) for monitor in get_display().get_screens()]


def _rectangle(monitor: Any) -> Screen:  # noqa: ANN401 - pyglet's screen
    name = str(monitor.get_monitor_name())
    primary = bool(getattr(monitor, "is_primary", False))  # only where X has its RandR extension
    return Screen(name, monitor.x, monitor.y, monitor.width, monitor.height, primary)


def _open(
    screen: Screen,
    monitor: Any,  # noqa: ANN401 - pyglet's screen, None when the window covers several
    fullscreen: bool,
    size: tuple[int, int],
    vsync: bool,
) -> Any:  # noqa: ANN401 - pyglet's window
    from pyglet.gl import Config
    from pyglet.window import Window

    settings: dict[str, Any] = {
        "caption": "Wanderer",
        "vsync": vsync,
        "config": Config(major_version=3, minor_version=3, double_buffer=True),  # type: ignore[abstract]
    }
    if not fullscreen:
        window = Window(*size, **settings)
        window.set_location(
            screen.x + (screen.width - size[0]) // 2, screen.y + (screen.height - size[1]) // 2
        )
        return window
    if monitor is not None:
        window = Window(fullscreen=True, screen=monitor, **settings)
    else:
        window = Window(
            screen.width, screen.height, style=Window.WINDOW_STYLE_BORDERLESS, visible=False,
            **settings,
        )  # fmt: skip
        window.set_location(screen.x, screen.y)
        window.set_visible(True)
    window.set_mouse_visible(False)
    return window


def _context() -> moderngl.Context:
    """The window's context; named libraries, so that moderngl finds it through glcontext."""
    libraries: dict[str, Any] = {"libgl": "libGL.so.1", "libx11": "libX11.so.6"}
    return moderngl.create_context(require=330, **libraries)


def _refresh_hz(monitor: Any) -> float | None:  # noqa: ANN401 - pyglet's screen
    mode = monitor.get_mode() if monitor is not None else None
    rate = float(mode.rate) if mode is not None and mode.rate else 0.0
    return rate or None  # a virtual display says 0


def _no_window(error: Exception) -> str:
    display = os.environ.get("DISPLAY")
    where = f"DISPLAY is {display}" if display else "DISPLAY is not set"
    return (
        f"window: none can be opened here ({type(error).__name__}: {error}; {where}); "
        "start X on this machine's screen, or run without a window"
    )
