"""The one door into the core: everything needed to draw one frame of each channel.

Same show, state and time give the same plan on any machine. Knows no clock, GPU, model or file.
"""

from dataclasses import dataclass

from installation.latent import Latent
from installation.latent_walker import latent_at
from installation.scheduler import doors_light, scenes_at, scenes_within
from installation.show import Fit, Scene, Show
from installation.state import State, show_time


@dataclass(frozen=True, slots=True)
class Key:
    """A key image: the grid's tick it stands on, and the place in latent space it shows."""

    tick: int
    latent: Latent


@dataclass(frozen=True, slots=True)
class Layer:
    """One scene's share of a frame: its picture is mix(earlier, later, blend).

    `opacity` is that of this layer over the one below it.
    """

    scene: str
    model: str
    opacity: float
    earlier: Key
    later: Key
    blend: float


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Everything needed to draw one frame of one channel; layers stand bottom first.

    `brightness` in [0, 1] is the doors' times the controls'.
    """

    channel: str
    now_s: float
    show_time_s: float
    tick: int
    layers: tuple[Layer, ...]
    brightness: float
    fit: Fit


@dataclass(frozen=True, slots=True)
class KeyImage:
    """An order to make one key image of one scene of one channel."""

    channel: str
    scene: str
    model: str
    key: Key


def plan(show: Show, state: State, now: float) -> tuple[FramePlan, ...]:
    """Return the frame plan of each channel at `now`, in the order of `show.channels`."""
    grid = state.grid
    tick = grid.tick(now)
    earlier_s, later_s = grid.time(tick), grid.time(tick + 1)
    blend = (now - earlier_s) / (later_s - earlier_s)
    moment = show_time(state, now)
    layers = tuple(
        _layer(show.scenes[index], opacity, state, tick, blend)
        for index, opacity in scenes_at(show, moment)
    )
    brightness = doors_light(show, now) * state.brightness.value(now) * state.light.value(now)
    return tuple(
        FramePlan(channel.name, now, moment, tick, layers, brightness, channel.fit)
        for channel in show.channels
    )


def _layer(scene: Scene, opacity: float, state: State, tick: int, blend: float) -> Layer:
    earlier, later = _key(scene, state, tick), _key(scene, state, tick + 1)
    return Layer(scene.name, scene.model, opacity, earlier, later, blend)


def _key(scene: Scene, state: State, tick: int) -> Key:
    return Key(tick, latent_at(scene, show_time(state, state.grid.time(tick))))


def keys_at(show: Show, state: State, tick: int) -> tuple[KeyImage, ...]:
    """Return the key images to make for a tick: all channels, all scenes that may show them.

    Frames up to one tick before and one tick after show a tick's key image, so a scene that
    crossfades in or out anywhere in between has one too.
    """
    from_s = show_time(state, state.grid.time(tick - 1))
    to_s = show_time(state, state.grid.time(tick + 1))
    scenes = tuple(show.scenes[index] for index in scenes_within(show, from_s, to_s))
    keys = tuple((scene, _key(scene, state, tick)) for scene in scenes)
    return tuple(
        KeyImage(channel.name, scene.name, scene.model, key)
        for channel in show.channels
        for scene, key in keys
    )


def models_within(show: Show, state: State, now: float, horizon_s: float) -> tuple[str, ...]:
    """Return the models needed between `now` and `now + horizon_s`, in the order of need."""
    from_s, to_s = show_time(state, now), show_time(state, now + horizon_s)
    scenes = scenes_within(show, from_s, to_s)
    return tuple(dict.fromkeys(show.scenes[index].model for index in scenes))
