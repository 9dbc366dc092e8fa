"""What a show is: frozen values, and how a show file becomes them. Knows no clock and no model."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from installation.invalid_show import InvalidShow, Problem
from installation.latent import Drawn, Given, Point, Seed, Space
from installation.opening_hours import Hours
from installation.show_fields import Report, Table, kind_of, number_of
from installation.show_times import read_hours, read_starts, read_timezone
from installation.show_yaml import (
    MAX_BYTES,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sequence,
    quote,
    read_tree,
)

__all__ = [
    "CHANNEL_KEYS",
    "PACING_KEYS",
    "SCENE_KEYS",
    "SHOW_KEYS",
    "WALK_KEYS",
    "Channel",
    "InvalidShow",
    "Pacing",
    "Problem",
    "Scene",
    "Show",
    "Walk",
    "load_show",
    "parse_show",
]

Kind = Literal["random", "waypoints", "loop"]
Curve = Literal["arc", "spline"]
EaseName = Literal["linear", "smooth", "smoother", "sine"]
Fit = Literal["contain", "cover", "stretch"]

MAX_SEED = 2**32 - 1  # what numpy's RandomState takes
MAX_WAYPOINTS = 10_000
_DAY_S = 86_400.0
SHOW_KEYS = ("title", "timezone", "hours", "starts", "pacing", "scenes", "channels")
SCENE_KEYS = ("name", "model", "walk", "for", "psi", "pacing")
WALK_KEYS = ("kind", "seed", "waypoints", "space", "curve")
PACING_KEYS = ("hold", "travel", "ease", "crossfade", "speed")
CHANNEL_KEYS = ("output", "fit")
_SCENE_HOMES = dict.fromkeys(WALK_KEYS, "walk") | dict.fromkeys(PACING_KEYS, "pacing")
_SHOW_HOMES = dict.fromkeys(PACING_KEYS, "pacing") | dict.fromkeys(SCENE_KEYS[:-1], "scenes")


@dataclass(frozen=True, slots=True)
class Walk:
    """The path of a scene through the latent space; `waypoints` is empty for a random walk."""

    kind: Kind = "random"
    space: Space = "z"
    seed: int = 0
    waypoints: tuple[Point, ...] = ()
    curve: Curve = "arc"


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a walk moves: it holds at a waypoint, then travels to the next; times in seconds."""

    hold_s: float = 2.0
    travel_s: float = 10.0
    ease: EaseName = "smooth"
    crossfade_s: float = 3.0  # from the scene before into this one
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the show with one model and one walk, shown for `for_s` seconds at a time."""

    name: str
    model: str
    walk: Walk = Walk()
    for_s: float = 600.0
    pacing: Pacing = Pacing()
    psi: float = 1.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One picture stream and where it lands: `output` is "window" or a monitor's name."""

    name: str = "main"
    output: str = "window"
    fit: Fit = "contain"


@dataclass(frozen=True)
class Show:
    """A whole show, everything defaulted; `starts` is the epoch second where show time is zero."""

    title: str
    scenes: tuple[Scene, ...]
    channels: tuple[Channel, ...] = (Channel(),)
    pacing: Pacing = Pacing()
    timezone: str | None = None
    hours: Hours | None = None
    starts: float | None = None
    name: str = "show"
    sha256: str = ""

    def __hash__(self) -> int:
        """Hash by the text alone: every frame looks a show up, and a walk may be long."""
        return hash((self.sha256, self.title))


def load_show(path: Path | str) -> Show:
    """Read and check a show file.

    Raises InvalidShow with every problem found, also where the file can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        message = f"can't be read: {error.strerror or error}"
        problem = Problem(0, 0, message, "check the path and its permissions")
        raise InvalidShow(str(path), (problem,)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        problem = Problem(line, column, "is not UTF-8 from here on", "save the file as UTF-8")
        raise InvalidShow(str(path), (problem,)) from error
    return parse_show(text, str(path))


def parse_show(text: str, name: str) -> Show:
    """Return the show that a text describes; `name` is what messages call it, usually its path.

    Raises InvalidShow with every problem found.
    """
    tree, problems = read_tree(text)
    report = Report(list(problems))
    show = None
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        if not problems:
            report.add(Mark(1, 1), "the show is empty", "write at least `title` and `scenes`")
    else:
        show = _show(Table(tree, "", SHOW_KEYS, report, _SHOW_HOMES), name, text)
    if show is None or report.problems:
        raise InvalidShow(name, tuple(report.problems))
    return show


def _show(table: Table, name: str, text: str) -> Show:
    table.require("title", "`title: A gaze`")
    table.require("scenes", "`scenes: [{name: a, model: testcard}]`")
    pacing_table = table.table("pacing", PACING_KEYS)
    pacing = _pacing(pacing_table, Pacing())
    fades = pacing_table is not None and pacing_table.has("crossfade")
    timezone = read_timezone(table)
    return Show(
        title=table.text("title"),
        scenes=_scenes(table, pacing, fades),
        channels=_channels(table),
        pacing=pacing,
        timezone=timezone,
        hours=read_hours(table),
        starts=read_starts(table, timezone),
        name=name,
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    )


def _pacing(table: Table | None, default: Pacing) -> Pacing:
    if table is None:
        return default
    return Pacing(
        hold_s=table.duration("hold", default.hold_s, 0.0, _DAY_S),
        travel_s=table.duration("travel", default.travel_s, 0.1, _DAY_S),
        ease=cast(EaseName, table.choice("ease", default.ease, get_args(EaseName))),
        crossfade_s=table.duration("crossfade", default.crossfade_s, 0.0, 600.0),
        speed=table.number("speed", default.speed, 0.01, 10.0),
    )


def _scenes(table: Table, pacing: Pacing, fades: bool) -> tuple[Scene, ...]:
    nodes = table.items("scenes")
    if table.has("scenes") and not nodes and isinstance(table.node("scenes"), Sequence):
        table.problem("scenes", "is empty", "write one scene at least")
    scenes, seen = [], dict[str, int]()
    for index, node in enumerate(nodes):
        part = Table(node, f"scenes[{index}]", SCENE_KEYS, table.report, _SCENE_HOMES)
        scene = _scene(part, pacing, fades)
        if scene.name in seen and scene.name:
            first = f"is {quote(scene.name)}, already the name of the scene on line"
            part.problem("name", f"{first} {seen[scene.name]}", "give each scene its own name")
        seen.setdefault(scene.name, part.mark_of("name").line)
        scenes.append(scene)
    return tuple(scenes)


def _scene(table: Table, default: Pacing, fades: bool) -> Scene:
    table.require("name", "`name: dawn`")
    table.require("model", "`model: figures-64`")
    part = table.table("pacing", PACING_KEYS)
    pacing = _pacing(part, default)
    for_s = table.duration("for", 600.0, 1.0, 366 * _DAY_S)
    if pacing.crossfade_s > for_s:
        if fades or (part is not None and part.has("crossfade")):
            found = f"is {for_s:g} s, shorter than its crossfade of {pacing.crossfade_s:g} s"
            table.problem("for", found, "lengthen the scene or shorten `pacing.crossfade`")
        pacing = replace(pacing, crossfade_s=for_s)
    return Scene(
        name=table.text("name", longest=64),
        model=_model(table),
        walk=_walk(table.table("walk", WALK_KEYS)),
        for_s=for_s,
        pacing=pacing,
        psi=table.number("psi", 1.0, -2.0, 2.0),
    )


def _model(table: Table) -> str:
    model = table.text("model")
    if model.lower().endswith(".pkl"):
        found = f"is {quote(model)}; a pickle is a program and is never loaded by a show"
        remedy = f"run `./wanderer import-model {model[:200]}` and name the model it writes"
        table.problem("model", found, remedy)
    return model


def _walk(table: Table | None) -> Walk:
    if table is None:
        return Walk()
    kind = cast(Kind, table.choice("kind", "random", get_args(Kind)))
    seed = table.whole("seed", 0, 0, MAX_SEED)
    curve = cast(Curve, table.choice("curve", "arc", get_args(Curve)))
    if curve == "spline" and kind != "random":
        table.problem("curve", f"is `spline`, but a {kind} walk meets its waypoints", "write arc")
    if kind == "random" and table.has("waypoints"):
        found = "is of no use to a random walk, which draws its own"
        table.problem("waypoints", found, "write `kind: waypoints` or `kind: loop`")
    points = () if kind == "random" else _waypoints(table, seed)
    return Walk(kind, cast(Space, table.choice("space", "z", get_args(Space))), seed, points, curve)


def _waypoints(table: Table, seed: int) -> tuple[Point, ...]:
    """Return a list's points, or as many drawn from the walk's seed as a number says, else six."""
    node = table.node("waypoints")
    if node is None or isinstance(node, Scalar):
        count = table.whole("waypoints", 6, 2, MAX_WAYPOINTS)
        return tuple(Drawn(seed, index) for index in range(count))
    points = tuple(_point(table, item) for item in table.items("waypoints"))
    lengths = {len(point.values) for point in points if isinstance(point, Given)}
    if len(lengths) > 1:
        found = f"have {' and '.join(str(length) for length in sorted(lengths))} numbers"
        table.problem("waypoints", found, "write all points of a walk with equally many numbers")
    if len(points) < 2:
        table.problem("waypoints", f"holds {len(points)}", "write two waypoints at least")
    return points


def _point(table: Table, node: Node) -> Point:
    if isinstance(node, Sequence) and node.items:
        values = tuple(number_of(item) for item in node.items)
        if all(value is not None and abs(value) <= 1e6 for value in values):
            return Given(tuple(float(value or 0.0) for value in values))
        table.report.add(node.mark, "a written-out waypoint may hold numbers up to 1e6 only")
        return Seed(0)
    value = number_of(node)
    if isinstance(value, int) and 0 <= value <= MAX_SEED:
        return Seed(value)
    remedy = f"write a seed (a whole number from 0 to {MAX_SEED}) or a list of numbers"
    table.report.add(node.mark, f"a waypoint can't be {kind_of(node)}", remedy)
    return Seed(0)


def _channels(table: Table) -> tuple[Channel, ...]:
    node = table.node("channels")
    if node is None:
        return (Channel(),)
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        found = f"has {len(node.entries)} channels" if isinstance(node, Mapping) else "is no table"
        remedy = "write one channel, as `channels: {main: {output: window}}`"
        table.problem("channels", f"{found}; this version shows exactly one", remedy)
        return (Channel(),)
    (key, value), *_ = node.entries
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", key.text):
        remedy = "use letters, digits, - and _, at most 32"
        table.report.add(key.mark, f"a channel can't be called {quote(key.text)}", remedy)
    part = Table(value, f"channels.{key.text[:32]}", CHANNEL_KEYS, table.report)
    fit = cast(Fit, part.choice("fit", "contain", get_args(Fit)))
    return (Channel(key.text, part.text("output", "window", longest=64), fit),)
