"""What is on, and whether the doors are open. Takes every time as an argument; knows no clock."""

import math
from functools import lru_cache

from installation.easing import smooth
from installation.show import Show


@lru_cache(maxsize=64)
def _starts_of_scenes(show: Show) -> tuple[tuple[float, ...], float]:
    """Return when each scene starts within one round of the programme, and the round's length."""
    starts, total = [], 0.0
    for scene in show.scenes:
        starts.append(total)
        total += scene.for_s
    return tuple(starts), total


def _scene_at(show: Show, show_time_s: float) -> tuple[int, float]:
    """Return the index of the scene whose turn it is, and the seconds since its turn began."""
    starts, total = _starts_of_scenes(show)
    within = math.fmod(show_time_s, total)
    if within < 0.0:
        within += total
    index = len(starts) - 1
    while index > 0 and starts[index] > within:
        index -= 1
    return index, within - starts[index]


def scenes_at(show: Show, show_time_s: float) -> tuple[tuple[int, float], ...]:
    """Return (scene index, opacity in [0, 1]) of the scenes on show, the bottom one first.

    Scenes take turns, each for its own time; in the first `crossfade_s` of a turn the scene before
    lies below. A show of one scene shows it for ever.
    """
    if len(show.scenes) == 1:
        return ((0, 1.0),)
    index, since = _scene_at(show, show_time_s)
    scene = show.scenes[index]
    fade = min(scene.pacing.crossfade_s, scene.for_s)
    if since >= fade:
        return ((index, 1.0),)
    return (((index - 1) % len(show.scenes), 1.0), (index, smooth(since / fade)))


def scenes_within(show: Show, from_s: float, to_s: float) -> tuple[int, ...]:
    """Return the scenes on show at any moment of [from_s, to_s], in the order they are needed."""
    found = dict.fromkeys(index for index, _ in scenes_at(show, from_s))
    moment = from_s
    for _ in range(len(show.scenes)):
        index, since = _scene_at(show, moment)
        moment += show.scenes[index].for_s - since
        if moment > to_s or len(found) == len(show.scenes):
            break
        found.setdefault((index + 1) % len(show.scenes))
    return tuple(found)


def doors_light(show: Show, now: float) -> float:
    """Return the doors' share of the brightness at `now` (epoch seconds): 1 open, 0 closed."""
    return 1.0
