"""What a show is: frozen values, and how a show file becomes them. Knows no clock and no model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from installation.latent import Point, Seed, Space
from installation.opening_hours import Hours

Fit = Literal["contain", "cover", "stretch"]
EaseName = Literal["linear", "smooth", "smoother", "sine"]


@dataclass(frozen=True, slots=True)
class Walk:
    """The path of a scene through the latent space; `waypoints` is empty for a random walk."""

    kind: Literal["random", "waypoints", "loop"] = "random"
    space: Space = "z"
    seed: int = 0
    waypoints: tuple[Point, ...] = ()
    curve: Literal["arc", "spline"] = "arc"


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
    """Read a show file."""
    return parse_show(Path(path).read_text("utf-8"), str(path))


def parse_show(text: str, name: str) -> Show:
    """Return the show a text describes (provisional: the strict reader follows)."""
    tree = yaml.safe_load(text)
    scenes = tuple(_scene(item) for item in tree["scenes"])
    return Show(tree["title"], scenes, name=name, sha256=hashlib.sha256(text.encode()).hexdigest())


def _scene(item: dict[str, Any]) -> Scene:
    walk = item.get("walk", {})
    points = tuple(Seed(p) for p in walk.get("waypoints", ()))
    value = Walk(walk.get("kind", "random"), "z", walk.get("seed", 0), points)
    return Scene(item["name"], item["model"], value, psi=item.get("psi", 1.0))
