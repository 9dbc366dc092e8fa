"""What generating, uploading, drawing, planning and pacing cost here: one function for each.

Every function returns numbers and prints nothing. Milliseconds unless a name says otherwise.
Reads its clock from outside and names no torch: a model's pictures are only looked at and copied.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from installation.app import evening_for, shelf_for, threads_beside
from installation.clock import Clock
from installation.evening import pace_of, play
from installation.frame_plan import plan
from installation.gl_calls import can_map, finish
from installation.latent import Latent, Seed, latent_vector
from installation.offscreen import OffscreenSurface
from installation.renderer import LayerPictures, Renderer
from installation.show import Show
from installation.state import initial_state
from installation.upload import Ring, Route, choose_route
from models.image_model import ImageModel
from models.registry import use_threads
from models.sheet import to_uint8

BLOCK_S = 0.25  # of one model before the other has its turn: noise meets both alike
PSI = 0.9
COMPARED = 8  # pictures for the difference of two precisions


@dataclass(frozen=True)
class Times:
    """How long something took, each time."""

    ms: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.ms))

    @property
    def p99(self) -> float:
        """The one that 99 in 100 do not exceed."""
        return float(np.percentile(self.ms, 99, method="inverted_cdf"))

    @property
    def hz(self) -> float:
        """How many a second, at the median."""
        return 1000.0 / self.median


def latents(model: ImageModel) -> Iterator[npt.NDArray[np.float32]]:
    """Points z [1, z_dim] along an endless walk, as a show would ask for them."""
    step = 0
    while True:
        leg, within = divmod(step, 128)
        latent = Latent("z", Seed(leg), Seed(leg + 1), within / 128, PSI)
        yield latent_vector(latent, model.z_dim)[None]
        step += 1


def generation(models: Sequence[ImageModel], clock: Clock, seconds: float) -> list[Times]:
    """Times per picture (map and synthesize, one at a time), `seconds` for each model in turns.

    Each model warms up for an eighth of that first.
    """
    makers = [_maker(model) for model in models]
    for make in makers:
        warmed: list[float] = []
        while sum(warmed) < 1000 * seconds / 8:
            _fill_block(make, warmed, clock)
    taken: list[list[float]] = [[] for _ in models]
    while any(sum(times) < 1000 * seconds for times in taken):
        for make, times in zip(makers, taken, strict=True):
            _fill_block(make, times, clock)
    return [Times(tuple(times)) for times in taken]


def _maker(model: ImageModel) -> Callable[[], None]:
    points = latents(model)
    out = model.synthesize(model.map(next(points), psi=PSI))

    def make() -> None:
        picture = model.synthesize(model.map(next(points), psi=PSI), out=out)
        float(picture[0, 0, 0, 0])  # waits for a GPU

    return make


def _fill_block(make: Callable[[], None], times: list[float], clock: Clock) -> None:
    ends_s = clock.monotonic() + BLOCK_S
    began_s = clock.monotonic()
    while began_s < ends_s:
        make()
        ended_s = clock.monotonic()
        times.append(1000 * (ended_s - began_s))
        began_s = ended_s


def difference(model: ImageModel, exact: ImageModel) -> tuple[float, int]:
    """Mean and largest difference of two models' 8-bit pictures, in levels of 255."""
    z = np.concatenate([point for point, _ in zip(latents(model), range(COMPARED), strict=False)])
    pictures = [
        to_uint8(one.synthesize(one.map(z, psi=PSI))).astype(np.int16) for one in (model, exact)
    ]
    apart = np.abs(pictures[0] - pictures[1])
    return float(apart.mean()), int(apart.max())


def routes(surface: OffscreenSurface, device: str) -> list[Route]:
    """The ways that images can take here, the one a show takes first."""
    chosen = choose_route(surface.ctx, device)
    others = [Route("mapped", "measured", device)] if can_map(surface.ctx) else []
    others.append(Route("copy", "measured", device))
    return [chosen, *(route for route in others if route.name != chosen.name)]


def upload(
    surface: OffscreenSurface, model: ImageModel, route: Route, clock: Clock, count: int
) -> Times:
    """Times from a finished picture to a texture that can be drawn, writing included."""
    surface.begin()
    size = model.resolution
    dtype = "f4" if model.device == "cpu" else "f2"
    shape: dict[str, Any] = {"images": 1, "height": size, "width": size, "dtype": dtype}
    ring = Ring(surface.ctx, **shape, array=model.array, route=route)
    picture = model.synthesize(model.map(next(latents(model))))
    taken = []
    for tick in range(count):
        ring.turn(tick - 1)  # recovers the slot of the last round
        began_s = clock.monotonic()
        slot = ring.acquire()
        assert slot is not None, "one slot of three is out at a time"
        slot.array[...] = picture
        ring.publish(slot, tick)
        ring.turn(tick)
        finish(surface.ctx)
        taken.append(1000 * (clock.monotonic() - began_s))
    ring.close()
    return Times(tuple(taken))


def drawing(surface: OffscreenSurface, resolution: int, clock: Clock, count: int) -> Times:
    """Times to draw the blend of two key images onto the whole surface, to the last pixel."""
    surface.begin()
    renderer = Renderer(surface.ctx)
    noise = np.random.default_rng(0).uniform(-1, 1, (3, resolution, resolution)).astype("f4")
    shape = (resolution, resolution, 3)
    keys = [surface.ctx.texture_array(shape, 1, noise.tobytes(), dtype="f4") for _ in range(2)]
    pictures = [LayerPictures(keys[0], keys[1], 0.5, 1.0, first_layer=0)]
    taken = []
    for tick in range(count + 3):
        began_s = clock.monotonic()
        surface.begin()
        renderer.draw(surface.fbo, (0, 0, *surface.size), pictures, tick=tick)
        finish(surface.ctx)
        taken.append(1000 * (clock.monotonic() - began_s))
    renderer.release()
    for key in keys:
        key.release()
    return Times(tuple(taken[3:]))  # the first ones compile shaders


def planning(show: Show, clock: Clock, count: int) -> Times:
    """Times of one frame plan for all channels, at times far from each other."""
    state = initial_state(show)
    now = clock.now()
    taken = []
    for index in range(count):
        began_s = clock.monotonic()
        plan(show, state, now + 17.23 * index)
        taken.append(1000 * (clock.monotonic() - began_s))
    return Times(tuple(taken))


@dataclass(frozen=True)
class Pacing:
    """How evenly frames came while images were made beside them."""

    displayed_hz: float
    mean_ms: float
    p99_ms: float
    frames: int
    missed: int  # frames that should have been shown in between
    generated_hz: float
    images_missed: int
    failed: int


def pacing(
    show: Show,
    surface: OffscreenSurface,
    clock: Clock,
    *,
    seconds: float,
    fps: float,
    beside: Path,
    device: str = "auto",
    precision: str = "auto",
    each_frame: Callable[[], None] | None = None,
) -> Pacing:
    """Run a show on `surface` for `seconds`, generator and all; `each_frame` after each one."""
    shelf = shelf_for(show, clock, device, precision, beside, threads_beside(surface))
    pace = pace_of(surface, fps)
    evening = evening_for(show, surface, shelf, clock, pace)

    def shown(_plans: object) -> None:
        if each_frame is not None:
            each_frame()

    try:
        play(evening, surface, clock, pace, stopped=lambda: False, seconds=seconds, shown=shown)
        report = evening.health.report()
    finally:
        evening.close()
        use_threads(os.cpu_count() or 1)  # what is measured next has the machine for itself
    return Pacing(
        displayed_hz=1 / report.frame_mean_s if report.frame_mean_s else 0.0,
        mean_ms=1000 * report.frame_mean_s,
        p99_ms=1000 * report.frame_p99_s,
        frames=report.frames_shown,
        missed=report.frames_missed,
        generated_hz=report.images_hz,
        images_missed=report.images_missed,
        failed=report.images_failed + report.frames_failed,
    )


def resident_mb(statm: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process in MB (10^6 bytes); 0 where the system does not say."""
    try:
        pages = int(statm.read_text("ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """The slope of (seconds, MB) samples by least squares, in MB an hour."""
    at_s, mb = np.array(samples, np.float64).T
    return float(np.polyfit(at_s - at_s[0], mb, 1)[0] * 3600)
