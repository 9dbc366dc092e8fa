"""Makes the grid's key images ahead of their time into slots; knows models and rings, no windows.

One thread makes pictures. It never waits for files or for the display: a model is on the shelf or
it is not, a slot is free or it is not. The display's thread calls `turn` and `pictures` once a
frame and never waits for this one.
"""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Protocol

from installation.frame_plan import FramePlan, Layer, keys_at, models_within
from installation.governor import Governor
from installation.latent import Latent
from installation.mapper import Mapper
from installation.model_shelf import ModelShelf
from installation.scheduler import scenes_within
from installation.show import Show
from installation.state import State, show_time
from installation.upload import Ring
from models.image_model import ImageModel

AHEAD = 3  # ticks made beyond the present one: covers one slow image at the finest grid
LEAD_S = 2.0  # a scene's ring is made this long before its first picture is due
HORIZON_S = 120.0  # a scene's model is loaded this long before
RETRY_S = 60.0  # a ring that could not be built is tried again after this
LINGER = 64  # made images remembered for each ring, so that none is made twice

RingKey = tuple[str, str]  # scene, model


class Tally(Protocol):
    """Where generation tells what became of its images (`installation/health.py`)."""

    def image_made(self, count: int = 1) -> None:
        """Count batches that are ready to be shown."""

    def image_missed(self, count: int = 1) -> None:
        """Count ticks that went by without an image."""

    def failed(self, kind: Literal["image"], error: BaseException) -> None:
        """Tell of a batch that could not be made; the last picture stays."""


@dataclass(frozen=True)
class Shown:
    """The two textures a layer is blended from; `row` is the channel's place in the batch.

    `since` is the stamp of the earlier one.
    """

    earlier: Any
    later: Any
    blend: float
    opacity: float
    row: int
    since: int


def stamp(tick: int, rate_hz: Fraction) -> int:
    """The time of a tick in whole microseconds: one number for it on every grid."""
    return tick * 1_000_000 * rate_hz.denominator // rate_hz.numerator


@dataclass
class _Reel:
    """One scene on show: its model, its ring, and which key images were made."""

    model: ImageModel
    ring: Ring
    mapper: Mapper
    made: dict[int, tuple[Latent, ...]] = field(default_factory=dict)
    busy: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def remember(self, at: int, latents: tuple[Latent, ...]) -> None:
        self.made[at] = latents
        while len(self.made) > LINGER:
            del self.made[next(iter(self.made))]


@dataclass(frozen=True)
class _Brief:
    show: Show
    state: State


class Generation:
    """Key images for a show: `brief` says what is played, `step` makes one, `pictures` gives them.

    `make_ring(model, images)` builds a ring on the display's thread; `monotonic()` gives seconds.
    `horizon_s` is how long before its need a model is asked for.
    """

    def __init__(
        self,
        shelf: ModelShelf,
        make_ring: Callable[[ImageModel, int], Ring],
        monotonic: Callable[[], float],
        tally: Tally,
        governor: Governor | None = None,
        horizon_s: float = HORIZON_S,
    ) -> None:
        self._shelf = shelf
        self._make_ring = make_ring
        self._monotonic = monotonic
        self._tally = tally
        self._governor = governor
        self._horizon_s = horizon_s
        self._brief: _Brief | None = None
        self._reels: dict[RingKey, _Reel] = {}
        self._lock = threading.Lock()
        self._in_use: dict[str, dict[RingKey, int]] = {}  # channel: rings, and since which stamp
        self._refused_at_s: dict[RingKey, float] = {}
        self._wanted_at_s = float("-inf")
        self._cost = _TickCost()

    def brief(self, show: Show, state: State) -> None:
        """Play this from now on; images already made for another state are made again."""
        self._brief = _Brief(show, state)

    # -- the display's thread ------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Once a frame: rings for scenes to come, textures for what was made, old rings closed."""
        if self._brief is None:
            return
        show, state = self._brief.show, self._brief.state
        rate = state.grid.rate_hz
        tick = state.grid.tick(now)
        self._ask_for_models(show, state, now)
        needed = self._needed(show, state, tick)
        for key in needed:
            self._open_reel(show, key)
        for key, reel in list(self._reels.items()):
            held = [since[key] for since in self._in_use.values() if key in since]
            if key not in needed and not held:
                self._close_reel(key, reel)
            else:
                self._turn_reel(reel, min([stamp(tick - 1, rate), *held]))

    def ready(self, plan: FramePlan) -> bool:
        """Whether the scene on top of this plan has a picture to show."""
        return self._pictures(plan)[-1:] not in ([], [None])

    def pictures(self, plan: FramePlan) -> tuple[Shown, ...]:
        """The pictures of a plan that is `ready`, bottom first; they stay until the next call."""
        found = zip(plan.layers, self._pictures(plan), strict=True)
        shown = {(layer.scene, layer.model): one for layer, one in found if one is not None}
        self._in_use[plan.channel] = {key: one.since for key, one in shown.items()}
        return tuple(shown.values())

    def _pictures(self, plan: FramePlan) -> list[Shown | None]:
        assert self._brief is not None, "a plan before the brief it was made from"
        show, rate = self._brief.show, self._brief.state.grid.rate_hz
        row = next(i for i, channel in enumerate(show.channels) if channel.name == plan.channel)
        return [self._shown(layer, rate, row) for layer in plan.layers]

    def close(self) -> None:
        """Close every ring; on the display's thread, after the picture thread has ended."""
        for key, reel in list(self._reels.items()):
            self._close_reel(key, reel)

    def _ask_for_models(self, show: Show, state: State, now: float) -> None:
        now_s = self._monotonic()
        if now_s - self._wanted_at_s >= 1.0:
            self._wanted_at_s = now_s
            self._shelf.want(models_within(show, state, now, self._horizon_s))

    def _needed(self, show: Show, state: State, tick: int) -> set[RingKey]:
        """The scenes on show from the last tick to the end of the lead."""
        lead = int(LEAD_S * state.grid.rate_hz)
        from_s = show_time(state, state.grid.time(tick - 1))
        to_s = show_time(state, state.grid.time(tick + 1 + lead))
        scenes = [show.scenes[index] for index in scenes_within(show, from_s, to_s)]
        return {(scene.name, scene.model) for scene in scenes}

    def _open_reel(self, show: Show, key: RingKey) -> None:
        loaded = None if key in self._reels else self._shelf.get(key[1])
        now_s = self._monotonic()
        if loaded is None or now_s - self._refused_at_s.get(key, -math.inf) < RETRY_S:
            return
        try:
            ring = self._make_ring(loaded.model, len(show.channels))
        except Exception as error:  # no memory for it: the scene is held back, the show goes on
            self._refused_at_s[key] = now_s
            self._tally.failed("image", error)
            return
        with self._lock:
            self._reels[key] = _Reel(loaded.model, ring, Mapper(loaded.model))

    def _turn_reel(self, reel: _Reel, keep_from: int) -> None:
        try:
            reel.ring.turn(keep_from)
        except Exception as error:  # an image that can't be moved: the last one stays
            self._tally.failed("image", error)

    def _close_reel(self, key: RingKey, reel: _Reel) -> None:
        if not reel.busy.acquire(blocking=False):
            return  # a picture is being made into it: next frame
        try:
            with self._lock:
                del self._reels[key]
            reel.closed = True
            reel.ring.close()
        finally:
            reel.busy.release()

    def _shown(self, layer: Layer, rate: Fraction, row: int) -> Shown | None:
        reel = self._reels.get((layer.scene, layer.model))
        if reel is None:
            return None
        since, until = stamp(layer.earlier.tick, rate), stamp(layer.later.tick, rate)
        earlier, later = reel.ring.texture(since), reel.ring.texture(until)
        if earlier is not None and later is not None:
            return Shown(earlier, later, layer.blend, layer.opacity, row, since)
        return _between(reel.ring, since + layer.blend * (until - since), layer.opacity, row)

    # -- the thread that makes pictures -----------------------------------------------------------

    def step(self, now: float) -> bool:
        """Make the next missing key image; False when there is none to make, or no free slot."""
        if self._brief is None:
            return False
        show, state = self._brief.show, self._brief.state
        present = state.grid.tick(now)
        for tick in range(present, present + AHEAD + 1):
            for key, latents in batches(show, state, tick):
                with self._lock:
                    reel = self._reels.get(key)
                at = stamp(tick, state.grid.rate_hz)
                if reel is None or reel.made.get(at) == latents:
                    continue
                if tick == present and reel.made:
                    continue  # its time has come: the next one can still be in time
                return self._make(reel, at, latents, period=stamp(1, state.grid.rate_hz))
        return False

    def try_step(self, now: float) -> bool:
        """Like `step`, but whatever goes wrong is told and counted: this thread must not end."""
        try:
            return self.step(now)
        except Exception as error:
            self._tally.failed("image", error)
            return False

    def make(self, tick: int) -> None:
        """Make every key image of one tick now, taking turns with the ring: for rendering."""
        assert self._brief is not None, "make before brief"
        show, state = self._brief.show, self._brief.state
        at = stamp(tick, state.grid.rate_hz)
        for key in self._needed(show, state, tick):
            self._open_reel(show, key)
        for key, latents in batches(show, state, tick):
            reel = self._reels.get(key)
            if reel is not None and reel.made.get(at) != latents:
                self._make(reel, at, latents, period=None)
                self._turn_reel(reel, stamp(tick - 1, state.grid.rate_hz))

    def rate_hz(self) -> Fraction | None:
        """The grid the governor would have now, or None when nobody governs."""
        return self._governor.decide(self._monotonic()) if self._governor else None

    def _make(self, reel: _Reel, at: int, latents: tuple[Latent, ...], period: int | None) -> bool:
        with reel.busy:
            slot = None if reel.closed else reel.ring.acquire()
            if slot is None:
                return False
            began_s = self._monotonic()
            try:
                reel.model.synthesize(reel.mapper.ws(latents), out=slot.array)
            except Exception as error:
                reel.ring.abandon(slot)
                self._tally.failed("image", error)
            else:
                reel.ring.publish(slot, at)
                self._note(self._monotonic() - began_s, at)
        if period is not None and reel.made:
            missed = (at - max(reel.made)) // period - 1
            if missed > 0:
                self._tally.image_missed(missed)
        reel.remember(at, latents)
        return True

    def _note(self, seconds: float, at: int) -> None:
        self._tally.image_made()
        total_s = self._cost.add(seconds, at)
        if total_s is not None and self._governor is not None:
            self._governor.note(total_s)


def _between(ring: Ring, at: float, opacity: float, row: int) -> Shown | None:
    """The blend for the time `at` (in stamps) of what is there, were it from another grid.

    Key images are functions of time, so any two around a moment do for it; after the last one
    the picture stands still.
    """
    before, after = ring.nearest(int(at)), ring.after(int(at))
    if before is None:
        return None
    since, earlier = before
    if after is None or after[0] == since:
        return Shown(earlier, earlier, 0.0, opacity, row, since)
    until, later = after
    return Shown(earlier, later, (at - since) / (until - since), opacity, row, since)


@dataclass
class _TickCost:
    """Sums what the images of one tick took; a tick's total is known when the next one begins."""

    at: int | None = None
    seconds: float = 0.0

    def add(self, seconds: float, at: int) -> float | None:
        if at == self.at:
            self.seconds += seconds
            return None
        total, self.at, self.seconds = self.seconds, at, seconds
        return total or None


def batches(show: Show, state: State, tick: int) -> Iterator[tuple[RingKey, tuple[Latent, ...]]]:
    """The batch of each scene on show at a tick: one latent a channel, always in channel order.

    A channel that does not show the scene repeats the first latent, so that the shape of a batch
    never changes (a changed shape changes the last bits of a picture).
    """
    by_scene: dict[RingKey, dict[str, Latent]] = {}
    for image in keys_at(show, state, tick):
        by_scene.setdefault((image.scene, image.model), {})[image.channel] = image.key.latent
    for key, latents in by_scene.items():
        spare = next(iter(latents.values()))
        yield key, tuple(latents.get(channel.name, spare) for channel in show.channels)


class PictureThread:
    """Runs `Generation.step` for as long as the evening lasts; `now()` is the show's clock."""

    def __init__(self, generation: Generation, now: Callable[[], float]) -> None:
        self._generation = generation
        self._now = now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def start(self) -> None:
        """Begin making pictures."""
        self._thread.start()

    def stop(self, timeout_s: float = 0.8) -> bool:
        """End after the image being made; False if that takes longer than `timeout_s`."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._generation.try_step(self._now()):
                self._stop.wait(0.002)  # a tenth of a frame at 60 Hz, and nothing to do in it
