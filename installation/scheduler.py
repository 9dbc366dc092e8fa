"""What is on, and whether the doors are open. Takes every time as an argument; knows no clock."""

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from installation.easing import smooth
from installation.local_time import instant
from installation.show import Show

DOOR_FADE_S = 5.0
_HOUR_S = 3600.0
_ROUNDING_S = 1e-3  # far above the rounding of show time, far below a scene
_LONGEST_WAIT_S = 8.5 * 86_400.0  # weekly hours that do not change within a week never change


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
    if within >= total:  # a time just under zero, lost in rounding
        within = 0.0
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
    index, since = _scene_at(show, from_s)
    end = from_s - since + show.scenes[index].for_s
    while end <= to_s + _ROUNDING_S and len(found) < len(show.scenes):
        index = (index + 1) % len(show.scenes)
        found.setdefault(index)
        end += show.scenes[index].for_s
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Opening:
    """The doors are open from `opens` up to `closes`, both aware, in the show's time zone."""

    opens: datetime
    closes: datetime


def is_open(show: Show, moment: datetime) -> bool:
    """Return whether the doors are open at an aware time; a show without hours is always open.

    Raises ValueError for a time without a time zone.
    """
    at = _epoch(moment)
    return show.hours is None or any(first <= at < end for first, end in _openings(show, at, 1))


def next_change(show: Show, moment: datetime) -> datetime | None:
    """Return when the doors next open or close after an aware time; None where they never do.

    Raises ValueError for a time without a time zone.
    """
    at = _epoch(moment)
    if show.hours is None:
        return None
    for boundary in (edge for span in _openings(show, at, 10) for edge in span):
        if at < boundary <= at + _LONGEST_WAIT_S:
            return datetime.fromtimestamp(boundary, _zone(show))
    return None


def day_table(show: Show, day: date) -> tuple[Opening, ...]:
    """Return the openings that begin on a day; one of them may end on the next."""
    zone = _zone(show)
    if show.hours is None:
        midnight = datetime.combine(day, time(), zone)
        return (Opening(midnight, datetime.combine(day + timedelta(days=1), time(), zone)),)
    return tuple(
        Opening(datetime.fromtimestamp(first, zone), datetime.fromtimestamp(end, zone))
        for first, end in _spans_on(show, day)
    )


def doors_light(show: Show, now: float) -> float:
    """Return the doors' share of the brightness at `now` (epoch seconds), in [0, 1].

    Light comes up in the DOOR_FADE_S seconds after opening and goes in those after closing, so that
    it depends on the last change alone.
    """
    if show.hours is None:
        return 1.0
    light, changes = _changes_around(show, math.floor(now / _HOUR_S))
    for at, opening in changes:
        if at > now:
            break
        part = smooth((now - at) / DOOR_FADE_S)
        light = part if opening else 1.0 - part
    return light


@lru_cache(maxsize=64)
def _changes_around(show: Show, hour: int) -> tuple[float, tuple[tuple[float, bool], ...]]:
    """Return the light a fade before an hour of the epoch, and the changes from then to its end."""
    first, end = hour * _HOUR_S - DOOR_FADE_S, (hour + 1) * _HOUR_S
    spans = _openings(show, first, 2)
    light = 1.0 if any(opens <= first < closes for opens, closes in spans) else 0.0
    edges = ((edge, edge == opens) for opens, closes in spans for edge in (opens, closes))
    return light, tuple((at, opening) for at, opening in edges if first < at < end)


def _openings(show: Show, at: float, days: int) -> tuple[tuple[float, float], ...]:
    """Return the openings from two days before to `days` after a time, touching ones joined."""
    today = datetime.fromtimestamp(at, _zone(show)).date()
    joined: list[tuple[float, float]] = []
    for offset in range(-2, days + 1):
        for first, end in _spans_on(show, today + timedelta(days=offset)):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((first, end))
    return tuple(joined)


@lru_cache(maxsize=512)
def _spans_on(show: Show, day: date) -> tuple[tuple[float, float], ...]:
    """Return the openings that begin on a day, in epoch seconds.

    An opening in an hour that comes twice begins with the first and ends with the second; in an
    hour that never comes both ends fall on the change, and what is empty then is left out.
    """
    if show.hours is None or show.timezone is None:
        return ()
    midnight = datetime.combine(day, time())
    spans = (
        (
            instant(midnight + timedelta(minutes=span.opens), show.timezone),
            instant(midnight + timedelta(minutes=span.closes), show.timezone, latest=True),
        )
        for span in show.hours.week[day.weekday()]
    )
    return tuple(sorted((first, end) for first, end in spans if first < end))


def _zone(show: Show) -> ZoneInfo:
    return ZoneInfo(show.timezone or "UTC")


def _epoch(moment: datetime) -> float:
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment.isoformat()} has no time zone; pass an aware datetime")
    return moment.timestamp()
