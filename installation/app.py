"""Builds the parts of an evening from a show and a few wishes; knows all others, decides nothing.

What runs frame by frame is `installation/evening.py`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from installation.clock import Clock, ManualClock, SystemClock
from installation.evening import Evening, Pace, pace_of, play
from installation.frame_plan import FramePlan, models_within
from installation.frame_writer import FrameWriter
from installation.governor import Governor, divisor_for
from installation.health import Health
from installation.memory import bytes_free
from installation.model_shelf import Loaded, ModelShelf, require_models
from installation.offscreen import OffscreenSurface
from installation.page import LivePage
from installation.show import Show
from installation.state import Grid, initial_state
from installation.surface import Surface
from models.image_model import ImageModel
from models.registry import TESTCARD, find_model, load_model, use_threads

STATUS_EVERY_S = 0.5
HEADLESS_FPS = 30.0
HEADLESS_SIZE = (512, 512)  # px
ROOM_PER_BYTE = 4  # a model at work takes about this much memory for each byte of its file

log = logging.getLogger("wanderer")
Frame = npt.NDArray[np.uint8]
View = Callable[[Sequence[FramePlan]], None]


@dataclass(frozen=True)
class RunOptions:
    """Wishes for a running show; None is the default that suits the surface."""

    size: tuple[int, int] | None = None  # px; None: the whole monitor, 512 x 512 offscreen
    seconds: float | None = None  # None: until somebody ends it
    frames: Path | None = None  # folder for every displayed frame
    headless: bool = False
    fps: float | None = None
    port: int = 8600
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class RenderOptions:
    """Frames to be made without a wall: `count` of them from epoch second `begins`."""

    begins: float
    count: int
    fps: float
    size: tuple[int, int] = (512, 512)  # px
    device: str = "auto"
    precision: str = "auto"
    grid_hz: float = 60.0


def run_show(
    show: Show,
    beside: Path,
    options: RunOptions,
    stopped: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Run a show until `stopped()`, its surface is closed or its seconds are over.

    Offscreen it is watched on a live page, whose address goes to `say`. Raises ModelUnavailable,
    NotEnoughMemory, SurfaceUnavailable, PageUnavailable, NoPicture or OSError before the first
    frame only.
    """
    clock = SystemClock()
    with ExitStack() as parts:
        require_models(show, beside)
        surface = _surface(show, options)
        parts.callback(surface.close)
        threads = threads_beside(surface)
        shelf = shelf_for(show, clock, options.device, options.precision, beside, threads)
        pace = pace_of(surface, options.fps or (HEADLESS_FPS if options.headless else None))
        evening = evening_for(show, surface, shelf, clock, pace)
        parts.callback(evening.close)
        views = _views(surface, evening, options, parts, say)

        def shown(plans: Sequence[FramePlan]) -> None:
            for view in views:
                view(plans)

        play(
            evening,
            surface,
            clock,
            pace,
            stopped=stopped,
            seconds=options.seconds,
            shown=shown if views else None,
        )


def rendered(show: Show, beside: Path, options: RenderOptions) -> Iterator[Frame]:
    """The frames a wall would have shown, uint8 [H, W, 3], as fast as they can be made.

    No image is late: each is waited for, so the same arguments give the same pixels, and how many
    frames a second are asked for does not change the picture at any time.
    """
    clock = ManualClock(options.begins)
    require_models(show, beside)
    shelf = shelf_for(show, clock, options.device, options.precision, beside)
    surface = OffscreenSurface(options.size)
    grid = Grid(Fraction(options.grid_hz).limit_denominator(1001))
    evening = Evening(show, surface, shelf, clock, Health(clock), grid=grid)
    try:
        for index in range(options.count):
            now = options.begins + index / options.fps
            clock.advance(max(0.0, now - clock.now()))
            for name in models_within(show, evening.state, now, 1.0):
                shelf.fetch(name)
            evening.frame_in_full(now)
            yield surface.read()
    finally:
        evening.close()
        surface.close()


def threads_beside(surface: Surface) -> int:
    """How many threads a model may use: all cores, but one where the processor draws as well.

    On two cores: one for the model, one for the picture. Two threads of the model made it
    13 ms instead of 20 alone, and 50 to 500 ms with llvmpipe waiting for the same cores.
    """
    cores = os.cpu_count() or 1
    by_processor = re.search("llvmpipe|softpipe|swrast", surface.ctx.info["GL_RENDERER"])
    return max(1, cores - 1) if by_processor else cores


def shelf_for(
    show: Show,
    clock: Clock,
    device: str,
    precision: str,
    beside: Path,
    threads: int | None = None,
) -> ModelShelf:
    """A shelf for a show's models, looked for beside the show file first; `threads` on a CPU."""

    def needed(name: str) -> int:
        if name == TESTCARD:
            return 0
        return ROOM_PER_BYTE * find_model(name, beside=beside).stat().st_size

    def load(name: str) -> ImageModel:
        model = load_model(name, device, precision, beside=beside)
        if threads is not None:
            use_threads(threads)
        return model

    return ModelShelf(
        load,
        images=len(show.channels),
        monotonic=clock.monotonic,
        bytes_needed=needed,
        bytes_free=bytes_free,
    )


def first_models(show: Show, shelf: ModelShelf, now: float) -> list[Loaded]:
    """Load and warm what the first seconds show; raises what loading raises."""
    state = initial_state(show)
    return [shelf.fetch(name) for name in models_within(show, state, now, 5.0)]


def evening_for(
    show: Show, surface: Surface, shelf: ModelShelf, clock: Clock, pace: Pace
) -> Evening:
    """An evening ready to open: its first models loaded, its grid as fine as they allow."""
    loaded = first_models(show, shelf, clock.now())
    slowest_s = max((model.seconds_per_batch for model in loaded), default=0.0)
    governor = Governor(pace.display_hz, divisor_for(pace.display_hz, slowest_s))
    period_s = float(1 / pace.display_hz)
    health = Health(clock, frame_period_s=period_s)
    grid = Grid(governor.rate_hz)
    return Evening(show, surface, shelf, clock, health, grid=grid, governor=governor)


def _surface(show: Show, options: RunOptions) -> Surface:
    if options.headless:
        return OffscreenSurface(options.size or HEADLESS_SIZE)
    from installation.window import WindowSurface

    output = show.channels[0].output
    monitor = None if output == "window" else output
    if options.size is None:
        return WindowSurface(monitor)
    return WindowSurface(monitor, fullscreen=False, size=options.size)


def _views(
    surface: Surface,
    evening: Evening,
    options: RunOptions,
    parts: ExitStack,
    say: Callable[[str], None],
) -> list[View]:
    """Who gets the frames of an offscreen surface: the live page, and the folder asked for."""
    if not isinstance(surface, OffscreenSurface):
        return []
    page = LivePage(options.port, size=surface.size)
    parts.callback(page.close)
    say(f"The picture is at {page.address} (Ctrl-C ends the show)")
    views: list[View] = [_PageView(page, surface, evening).show]
    if options.frames is not None:
        writer = FrameWriter(options.frames)
        parts.callback(writer.close)
        views.append(lambda plans: writer.write(surface.read()))
    return views


class _PageView:
    """Gives the page the frames it wants, and the facts twice a second."""

    def __init__(self, page: LivePage, surface: OffscreenSurface, evening: Evening) -> None:
        self._page, self._surface, self._evening = page, surface, evening
        self._told_s = float("-inf")

    def show(self, plans: Sequence[FramePlan]) -> None:
        if self._page.wanted:
            self._page.offer(self._surface.read())
        if abs(plans[0].now_s - self._told_s) >= STATUS_EVERY_S:
            self._told_s = plans[0].now_s
            self._page.status(asdict(self._evening.facts(plans)))
