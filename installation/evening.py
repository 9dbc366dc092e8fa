"""One show on one surface, frame by frame: commands, plan, pictures, draw, present.

Turns the crank; decides nothing about art, loads no files and opens no windows.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from installation.clock import Clock
from installation.frame_plan import FramePlan, plan
from installation.generation import HORIZON_S, Generation, PictureThread, Shown
from installation.governor import Governor
from installation.health import Health
from installation.hold import Hold
from installation.model_shelf import ModelShelf, NoPicture
from installation.renderer import LayerPictures, Renderer
from installation.show import Show
from installation.state import Command, Grid, SetGrid, State, apply, initial_state
from installation.surface import Surface
from installation.upload import Ring, choose_route
from models.image_model import ImageModel

GOVERN_EVERY_S = 1.0
LAST_IMAGE_S = 30.0  # a large model on a processor takes its time

log = logging.getLogger("wanderer")


@dataclass(frozen=True)
class Facts:
    """What a viewer may say about the frame it shows."""

    title: str
    scene: str
    generated_hz: float
    displayed_hz: float
    grid_hz: float
    brightness: float
    held: bool
    missed: int
    last_error: str


class Evening:
    """One show on one surface; everything but `command` belongs to the surface's thread."""

    def __init__(
        self,
        show: Show,
        surface: Surface,
        shelf: ModelShelf,
        clock: Clock,
        health: Health,
        *,
        grid: Grid,
        governor: Governor | None = None,
    ) -> None:
        self.show = show
        self.state: State = initial_state(show, grid)
        self.health = health
        self._surface = surface
        self._clock = clock
        self._routes_told: set[str] = set()
        self._renderer = Renderer(surface.ctx)
        self._holds = {channel.name: Hold() for channel in show.channels}
        self._shown: dict[str, tuple[Shown, ...]] = {}
        self._commands: list[Command] = []
        self._lock = threading.Lock()
        self._governed_at_s = clock.monotonic()
        self.generation = Generation(
            shelf,
            self._make_ring,
            clock.monotonic,
            health,
            governor,
            horizon_s=HORIZON_S if governor else 0.0,  # nobody waits for images without one
        )
        self.generation.brief(show, self.state)

    def command(self, command: Command) -> None:
        """Have a command applied before the next frame; from any thread."""
        with self._lock:
            self._commands.append(command)

    def frame(self, now: float) -> tuple[FramePlan, ...]:
        """Draw and present the picture of `now` (epoch seconds) from the images that are there."""
        self._obey(now)
        self.generation.turn(now)
        return self._draw(now)

    def frame_in_full(self, now: float) -> tuple[FramePlan, ...]:
        """Like `frame`, but make the images it needs first: nothing is ever missed."""
        self._obey(now)
        self.make_ready(now)
        return self._draw(now)

    def make_ready(self, now: float) -> None:
        """Make the images that `now` needs and wait for them, so that no wall opens in black."""
        self.generation.turn(now)
        tick = self.state.grid.tick(now)
        self.generation.make(tick)
        self.generation.make(tick + 1)

    def require_picture(self, now: float) -> None:
        """`make_ready`, and raise NoPicture if there is nothing to show then."""
        self.make_ready(now)
        for channel_plan in plan(self.show, self.state, now):
            if not self.generation.ready(channel_plan):
                top = channel_plan.layers[-1]
                reason = self.health.report().last_error or "its model is not there"
                raise NoPicture(
                    f"scene {top.scene!r}: no picture from model {top.model!r} ({reason}); "
                    "mend it, or let the show begin with another scene"
                )

    def facts(self, plans: Sequence[FramePlan]) -> Facts:
        """What to say about the frame drawn from these plans."""
        report, top = self.health.report(), plans[0]
        return Facts(
            title=self.show.title,
            scene=top.layers[-1].scene,
            generated_hz=report.images_hz,
            displayed_hz=report.frames_hz,
            grid_hz=float(self.state.grid.rate_hz),
            brightness=top.brightness,
            held=not self.generation.ready(top),
            missed=report.images_missed,
            last_error=report.last_error,
        )

    def close(self) -> None:
        """Give back what was built here; the surface is its owner's."""
        self.generation.close()
        self._renderer.release()

    def _make_ring(self, model: ImageModel, images: int) -> Ring:
        route = choose_route(self._surface.ctx, model.device)
        if route.name not in self._routes_told:
            self._routes_told.add(route.name)
            log.info("pictures go to the screen by the %s route: %s", route.name, route.why)
        return Ring(
            self._surface.ctx,
            images=images,
            height=model.resolution,
            width=model.resolution,
            dtype="f4" if model.device == "cpu" else "f2",
            array=model.array,
            route=route,
        )

    def _obey(self, now: float) -> None:
        with self._lock:
            commands, self._commands = self._commands, []
        commands += self._govern()
        for command in commands:
            self.state = apply(self.state, command, now)
        if commands:
            self.generation.brief(self.show, self.state)

    def _govern(self) -> list[Command]:
        at_s = self._clock.monotonic()
        if at_s - self._governed_at_s < GOVERN_EVERY_S:
            return []
        self._governed_at_s = at_s
        rate_hz = self.generation.rate_hz()
        if rate_hz is None or rate_hz == self.state.grid.rate_hz:
            return []
        log.info("key images are now made at %.4g a second", float(rate_hz))
        return [SetGrid(Grid(rate_hz))]

    def _draw(self, now: float) -> tuple[FramePlan, ...]:
        plans = plan(self.show, self.state, now)
        self._surface.begin()
        for channel_plan in plans:
            self._draw_channel(channel_plan)
        self._surface.present()
        self.health.frame_shown()
        return plans

    def _draw_channel(self, channel_plan: FramePlan) -> None:
        name = channel_plan.channel
        ready = self.generation.ready(channel_plan)
        showing = self._holds[name].advance(self._clock.monotonic(), ready)
        if showing.new:
            self._shown[name] = self.generation.pictures(channel_plan)
        shown = self._shown.get(name, ())
        self._renderer.draw(
            self._surface.fbo,
            (0, 0, *self._surface.size),
            [_layer(layer) for layer in shown],
            brightness=channel_plan.brightness * showing.light,
            fit=channel_plan.fit,
            tick=channel_plan.tick & 0xFFFF_FFFF,
        )


def _layer(shown: Shown) -> LayerPictures:
    return LayerPictures(
        shown.earlier, shown.later, shown.blend, shown.opacity, first_layer=3 * shown.row
    )


@dataclass(frozen=True)
class Pace:
    """How often frames are shown: at the display's own rate, or at `display_hz` by the clock."""

    display_hz: Fraction
    by_display: bool


def pace_of(surface: Surface, fps: float | None) -> Pace:
    """The display's rate where it has one and nobody asks for another; else `fps` or 60."""
    if surface.refresh_hz and fps is None:
        return Pace(Fraction(surface.refresh_hz).limit_denominator(1001), by_display=True)
    return Pace(Fraction(fps or 60).limit_denominator(1001), by_display=False)


def play(
    evening: Evening,
    surface: Surface,
    clock: Clock,
    pace: Pace,
    *,
    stopped: Callable[[], bool],
    seconds: float | None = None,
    shown: Callable[[Sequence[FramePlan]], None] | None = None,
) -> None:
    """Show frames until the surface is closed, `stopped()`, or `seconds` are over.

    `shown` gets the plans of every displayed frame. A frame that fails is logged and counted, and
    the next one is tried: the wall is never given up. Raises NoPicture before the first frame only.
    """
    thread = PictureThread(evening.generation, clock.now)
    ends_s = None if seconds is None else clock.monotonic() + seconds
    evening.require_picture(_moment(clock, pace))
    thread.start()
    try:
        while _is_open(evening, surface) and not stopped():
            began_s = clock.monotonic()
            if ends_s is not None and began_s >= ends_s:
                break
            now = _moment(clock, pace)
            with evening.health.guard("frame"):
                plans = evening.frame(now)
                if shown is not None:
                    shown(plans)
            _wait(clock, pace, drawn=now, began_s=began_s)
    finally:
        if not thread.stop():
            log.info("waiting for the image being made")  # into memory that is given back next
            thread.stop(LAST_IMAGE_S)


def _is_open(evening: Evening, surface: Surface) -> bool:
    """Whether nobody has closed the surface; trouble with its events closes nothing."""
    with evening.health.guard("frame"):
        return surface.poll()
    return True


def _moment(clock: Clock, pace: Pace) -> float:
    """The time to draw: the clock's, on the display's own grid where we set the pace.

    On that grid a key image made for every frame is shown as it is, blended with no other.
    """
    now = clock.now()
    if pace.by_display:
        return now
    grid = Grid(pace.display_hz)
    return grid.time(grid.tick(now + 0.5 / float(pace.display_hz)))


def _wait(clock: Clock, pace: Pace, drawn: float, began_s: float) -> None:
    """Wait for the frame after the one of `drawn`; not at all if its time has come.

    Where the display sets the pace it has waited already, unless the frame failed or nobody looks
    (a monitor asleep): then for half a period, since a loop without a wait takes a whole core.
    """
    if pace.by_display:
        clock.sleep_until(began_s + 0.5 / float(pace.display_hz))
        return
    grid = Grid(pace.display_hz)
    left_s = grid.time(grid.tick(drawn) + 1) - clock.now()
    clock.sleep_until(clock.monotonic() + left_s)
