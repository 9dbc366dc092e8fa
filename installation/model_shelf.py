"""The models a show needs, loaded and warmed beforehand on a thread of its own; makes no pictures.

A model that can't be had is a problem with a name, told once and tried again later: the evening
goes on without it.
"""

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from installation.latent import Given
from installation.show import Show
from models.image_model import ImageModel
from models.registry import ModelUnavailable, describe_model

TRIALS = 9  # batches a model is timed by, where they fit into half a second
TRIALS_S = 0.5
RETRY_S = 60.0  # a missing file may be copied into place while the show runs

log = logging.getLogger(__name__)


class NoPicture(Exception):
    """A show's first picture could not be made: a reason not to open."""


class NotEnoughMemory(Exception):
    """A model would not fit into the memory that is free."""


def require_models(show: Show, beside: Path) -> None:
    """Raise ModelUnavailable if a model is missing or a scene's waypoints don't fit its model.

    Before opening, any doubt is fatal. Only cards are read; `beside` is the show's folder.
    """
    for scene in show.scenes:
        card = describe_model(scene.model, beside=beside)
        expected = card.w_dim if scene.walk.space == "w" else card.z_dim
        for point in scene.walk.waypoints:
            if isinstance(point, Given) and len(point.values) != expected:
                raise ModelUnavailable(
                    f"scene {scene.name!r}",
                    f"a waypoint of {len(point.values)} numbers",
                    f"{expected}, as model {scene.model!r} has in space {scene.walk.space}",
                    "write that many numbers, or a seed",
                )


@dataclass(frozen=True)
class Loaded:
    """A model that has made its first picture, and how long a picture took then."""

    model: ImageModel
    seconds_per_batch: float


def first_picture(model: ImageModel, images: int) -> None:
    """Make one batch of `images` pictures, so that the next one needs no allocation or tuning."""
    model.synthesize(model.map(np.zeros((images, model.z_dim), np.float32)))


class ModelShelf:
    """Models by name: asked for ahead of time, fetched without waiting.

    `load(name)` returns a model or raises; `bytes_needed(name)` and `bytes_free()` guard the
    load; `monotonic()` gives seconds. `images` is the batch a picture is made in.
    """

    def __init__(
        self,
        load: Callable[[str], ImageModel],
        *,
        images: int,
        monotonic: Callable[[], float],
        bytes_needed: Callable[[str], int],
        bytes_free: Callable[[], int],
    ) -> None:
        self._load = load
        self._images = images
        self._monotonic = monotonic
        self._bytes_needed = bytes_needed
        self._bytes_free = bytes_free
        self._lock = threading.Lock()
        self._loaded: dict[str, Loaded] = {}
        self._problems: dict[str, str] = {}
        self._tried_at_s: dict[str, float] = {}
        self._loading: threading.Thread | None = None

    def get(self, name: str) -> Loaded | None:
        """The model if it is ready, else None; never waits."""
        with self._lock:
            return self._loaded.get(name)

    @property
    def problems(self) -> dict[str, str]:
        """What stands in the way of each model that can't be had, by name."""
        with self._lock:
            return dict(self._problems)

    def fetch(self, name: str) -> Loaded:
        """Load and warm a model now, waiting for it; raises what loading raises."""
        found = self.get(name)
        return found if found else self._load_and_warm(name, wanted={name})

    def want(self, names: Collection[str]) -> None:
        """Start loading the first of `names` that is missing, one at a time, without waiting."""
        if self._loading is not None and self._loading.is_alive():
            return
        name = self._first_missing(names)
        if name is None:
            return
        self._tried_at_s[name] = self._monotonic()
        # A daemon: Ctrl-C must not wait for the rest of a large file.
        self._loading = threading.Thread(
            target=self._try, args=(name, set(names)), name=f"load {name}", daemon=True
        )
        self._loading.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the load now under way, if any, has ended."""
        if self._loading is not None:
            self._loading.join(timeout_s)

    def _first_missing(self, names: Collection[str]) -> str | None:
        now_s = self._monotonic()
        for name in names:
            tried_at_s = self._tried_at_s.get(name)
            due = tried_at_s is None or now_s - tried_at_s >= RETRY_S
            if self.get(name) is None and due:
                return name
        return None

    def _try(self, name: str, wanted: set[str]) -> None:
        try:
            self._load_and_warm(name, wanted)
        except Exception as problem:
            with self._lock:
                told = self._problems.get(name) == str(problem)
                self._problems[name] = str(problem)
            if not told:
                log.error("model %r can't be had, the show goes on without it: %s", name, problem)

    def _load_and_warm(self, name: str, wanted: set[str]) -> Loaded:
        self._make_room(name, wanted)
        model = self._load(name)
        first_picture(model, self._images)
        loaded = Loaded(model, self._time(model))
        with self._lock:
            self._loaded[name] = loaded
            self._problems.pop(name, None)
        log.info("model %r is ready: %.1f ms a picture", name, 1000 * loaded.seconds_per_batch)
        return loaded

    def _time(self, model: ImageModel) -> float:
        """The median of a few batches, in seconds: one alone may have met another program."""
        times_s: list[float] = []
        while len(times_s) < TRIALS and sum(times_s) < TRIALS_S:
            began_s = self._monotonic()
            first_picture(model, self._images)
            times_s.append(self._monotonic() - began_s)
        return median(times_s)

    def _make_room(self, name: str, wanted: set[str]) -> None:
        needed = self._bytes_needed(name)
        with self._lock:
            idle = [other for other in self._loaded if other not in wanted]
        while needed > self._bytes_free() and idle:
            with self._lock:
                del self._loaded[idle.pop(0)]
        free = self._bytes_free()
        if needed > free:
            raise NotEnoughMemory(
                f"model {name!r} needs about {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB "
                "are free; end other programs, or give the show fewer or smaller models"
            )
