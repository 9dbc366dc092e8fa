"""The promise of `installation/surface.py`, over memory and a real window under Xvfb."""

import ctypes
import os
import select
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import ImageGrab

from installation.gl_calls import finish
from installation.offscreen import OffscreenSurface
from installation.renderer import LayerPictures, Renderer
from installation.surface import SurfaceUnavailable
from installation.upload import Ring, choose_route
from installation.window import WindowSurface

pytestmark = pytest.mark.gl

SIZE = (160, 90)  # of the virtual screen and of every surface here


@pytest.fixture(scope="module")
def x_display():
    """The name of a virtual screen of our own."""
    if shutil.which("Xvfb") is None:
        message = "Xvfb is not installed (apt-get install xvfb)"
        if os.environ.get("WANDERER_REQUIRE_XVFB") == "1":
            pytest.fail(message)
        pytest.skip(message)
    ours, theirs = os.pipe()
    screen = ["-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), *screen], pass_fds=[theirs], stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    with pytest.MonkeyPatch.context() as environment, os.fdopen(ours) as answer:
        ready, _, _ = select.select([answer], [], [], 20.0)
        assert ready, "Xvfb did not start within 20 s"
        environment.setenv("DISPLAY", f":{answer.readline().strip()}")
        yield os.environ["DISPLAY"]
        _forget_display()
    server.terminate()
    server.wait(10)


def _forget_display():
    """Let pyglet open another display next time: Xlib ends a process that uses a dead one."""
    if "pyglet.display" in sys.modules:
        from pyglet import app, display

        for dead in list(display._displays):
            app.platform_event_loop.select_devices.discard(dead)
            display._displays.discard(dead)


def offscreen(_request):
    return OffscreenSurface(SIZE)


def window(request):
    request.getfixturevalue("x_display")
    return WindowSurface(vsync=False)


@pytest.fixture(params=[offscreen, window], ids=lambda make: make.__name__)
def surface(request):
    made = request.param(request)
    yield made
    made.close()


def seen(surface):
    """What a visitor sees: uint8 [H, W, 3], top row first."""
    if isinstance(surface, OffscreenSurface):
        return surface.read()
    finish(surface.ctx)
    return np.asarray(ImageGrab.grab(xdisplay=os.environ["DISPLAY"]))[:, :, :3]


def fill(surface, rectangle, colour):
    surface.fbo.clear(*colour, 1.0, viewport=rectangle)


def test_surface_shows_what_was_drawn_last(surface):
    width, height = surface.size
    for colour in ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)):
        surface.begin()
        fill(surface, (0, 0, width, height), colour)
        surface.present()
        assert surface.poll()
        assert (seen(surface) == np.array(colour) * 255).all()


def test_bottom_row_of_framebuffer_is_bottom_row_seen(surface):
    surface.begin()
    fill(surface, (0, 0, *surface.size), (0.0, 0.0, 1.0))
    fill(surface, (0, 0, surface.size[0], 1), (1.0, 1.0, 1.0))
    surface.present()
    surface.poll()
    assert (seen(surface)[-1] == 255).all()
    assert (seen(surface)[:-1] == (0, 0, 255)).all()


def test_size_is_that_of_the_screen_seen(surface):
    surface.begin()
    surface.present()
    assert surface.size == SIZE
    assert seen(surface).shape == (SIZE[1], SIZE[0], 3)


def test_begin_takes_the_framebuffer_back_from_others(surface):
    other = surface.ctx.framebuffer([surface.ctx.texture((4, 4), 4)])
    other.use()
    surface.begin()
    surface.ctx.clear(1.0, 1.0, 0.0)
    assert surface.ctx.viewport == (0, 0, *SIZE)
    surface.present()
    assert (seen(surface) == (255, 255, 0)).all()
    other.release()


def test_surfaces_drawn_in_turn_keep_their_pictures(surface):
    beside = OffscreenSurface((8, 8))
    for one, colour in ((beside, (1.0, 0.0, 0.0)), (surface, (0.0, 1.0, 0.0))) * 2:
        one.begin()
        fill(one, (0, 0, *one.size), colour)
        one.present()
        assert one.ctx.error == "GL_NO_ERROR"
    assert (seen(surface) == (0, 255, 0)).all()
    beside.begin()
    assert (beside.read() == (255, 0, 0)).all()
    beside.close()


def test_nobody_has_asked_a_new_surface_to_close(surface):
    assert surface.poll()
    assert surface.poll()


def test_closed_surface_says_so_and_may_be_closed_again(surface):
    surface.close()
    surface.close()
    assert not surface.poll()


def test_refresh_rate_is_unknown_where_nothing_sets_the_pace(surface):
    assert surface.refresh_hz is None


def test_no_error_is_left_in_the_context(surface):
    for _ in range(3):
        surface.begin()
        surface.present()
        surface.poll()
    assert surface.ctx.error == "GL_NO_ERROR"


def drawn(surface):
    """One key image, carried by a ring and drawn by the renderer, as seen on the surface."""
    image = np.random.default_rng(5).uniform(-1.0, 1.0, (1, 3, 12, 16)).astype(np.float32)
    surface.begin()
    route = choose_route(surface.ctx, "cpu")
    ring = Ring(surface.ctx, images=1, height=12, width=16, dtype="f4", array="numpy", route=route)
    renderer = Renderer(surface.ctx)
    slot = ring.acquire()
    slot.array[...] = image
    ring.publish(slot, 1)
    ring.turn(1)
    layer = LayerPictures(ring.texture(1), ring.texture(1), 0.0)
    renderer.draw(surface.fbo, (0, 0, *surface.size), [layer])
    surface.present()
    surface.poll()
    picture = seen(surface).astype(int)
    ring.close()
    renderer.release()
    assert surface.ctx.error == "GL_NO_ERROR"
    return picture


def test_the_same_picture_is_seen_on_every_surface(surface):
    reference = OffscreenSurface(SIZE)
    wanted = drawn(reference)
    reference.close()
    assert wanted.std() > 20
    assert np.abs(drawn(surface) - wanted).max() <= 1


# -- only a window ---------------------------------------------------------------------------------


@pytest.fixture
def real_window(x_display):
    made = WindowSurface(vsync=False)
    yield made
    made.close()


def test_escape_asks_the_window_to_close(real_window):
    from pyglet.libs.x11 import xlib

    display, target = real_window._window._x_display, real_window._window._window
    event = xlib.XEvent()
    event.xkey.type = xlib.KeyPress
    event.xkey.display, event.xkey.window, event.xkey.subwindow = display, target, 0
    event.xkey.keycode = xlib.XKeysymToKeycode(display, 0xFF1B)
    _send(xlib, display, target, event, xlib.KeyPressMask)
    assert not real_window.poll()
    assert not real_window.poll()


def test_closing_it_on_the_desktop_asks_the_window_to_close(real_window):
    from pyglet.libs.x11 import xlib

    display, target = real_window._window._x_display, real_window._window._window
    event = xlib.XEvent()
    event.xclient.type = xlib.ClientMessage
    event.xclient.window = target
    event.xclient.message_type = xlib.XInternAtom(display, b"WM_PROTOCOLS", False)
    event.xclient.format = 32
    event.xclient.data.l[0] = xlib.XInternAtom(display, b"WM_DELETE_WINDOW", False)
    _send(xlib, display, target, event, 0)
    assert not real_window.poll()


def _send(xlib, display, target, event, mask):
    xlib.XSendEvent(display, target, False, mask, ctypes.byref(event))
    xlib.XSync(display, False)


def test_other_keys_do_not_close_the_window(real_window):
    real_window._window.dispatch_event("on_key_press", ord("q"), 0)
    assert real_window.poll()


def test_window_over_all_monitors_covers_the_screen(x_display):
    surface = WindowSurface("all", vsync=False)
    assert surface.size == SIZE
    surface.begin()
    surface.ctx.clear(1.0, 0.0, 1.0)
    surface.present()
    assert (seen(surface) == (255, 0, 255)).all()
    surface.close()


def test_plain_window_has_the_size_asked_for(x_display):
    surface = WindowSurface(fullscreen=False, size=(40, 30), vsync=False)
    surface.begin()
    surface.ctx.clear(1.0, 1.0, 1.0)
    surface.present()
    surface.poll()
    assert surface.size == (40, 30)
    assert (seen(surface) == 255).all(axis=2).sum() == 40 * 30
    surface.close()


def test_unknown_monitor_is_refused_with_the_names_of_the_known(x_display):
    with pytest.raises(
        SurfaceUnavailable, match=r"no monitor called 'HDMI-7'; here are: \w+ \(160x90\)"
    ):
        WindowSurface("HDMI-7")


def test_window_without_a_display_says_what_to_do():
    code = (
        "from installation.window import WindowSurface\n"
        "from installation.surface import SurfaceUnavailable\n"
        "try:\n    WindowSurface()\n"
        "except SurfaceUnavailable as error:\n    raise SystemExit(str(error))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "DISPLAY is not set" in done.stderr
    assert "or run without a window" in done.stderr
