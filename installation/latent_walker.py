"""Where a scene's walk is at a show time. Knows no clock, no model and no GPU."""

import math

from installation.easing import EASES
from installation.latent import (
    Drawn,
    Given,
    Latent,
    Point,
    Seed,
    latent_vector,
    lerp,
    point_vector,
    slerp,
    weighted_points,
)
from installation.show import Scene, Walk

__all__ = [
    "Drawn",
    "Given",
    "Latent",
    "Point",
    "Seed",
    "latent_at",
    "latent_vector",
    "lerp",
    "point_vector",
    "position_at",
    "slerp",
    "waypoint",
    "weighted_points",
]


def position_at(scene: Scene, show_time_s: float) -> float:
    """Return how far along its walk a scene is, in legs (a hold and the travel that follows it).

    The zero of every walk is the zero of show time; a walk goes on while its scene is off the wall.
    """
    pacing = scene.pacing
    return show_time_s * pacing.speed / (pacing.hold_s + pacing.travel_s)


def latent_at(scene: Scene, show_time_s: float) -> Latent:
    """Return the place in latent space where a scene's walk is; any time, in any order."""
    position = position_at(scene, show_time_s)
    leg = math.floor(position)
    weight = _weight(scene, position - leg)
    walk = scene.walk
    spline = walk.curve == "spline"
    return Latent(
        walk.space,
        waypoint(walk, leg),
        waypoint(walk, leg + 1),
        weight,
        scene.psi,
        waypoint(walk, leg - 1) if spline else None,
        waypoint(walk, leg + 2) if spline else None,
    )


def _weight(scene: Scene, part: float) -> float:
    pacing = scene.pacing
    still = pacing.hold_s / (pacing.hold_s + pacing.travel_s)
    if part <= still:
        return 0.0
    return EASES[pacing.ease]((part - still) / (1.0 - still))


def waypoint(walk: Walk, index: int) -> Point:
    """Return waypoint `index` (any whole number) of a walk.

    A random walk draws a new one for every index; a loop goes round its list; a walk by waypoints
    goes to the end of its list and back again.
    """
    if walk.kind == "random":
        return Drawn(walk.seed, index)
    count = len(walk.waypoints)
    if walk.kind == "loop" or count == 1:
        return walk.waypoints[index % count]
    there = index % (2 * count - 2)
    return walk.waypoints[there if there < count else 2 * count - 2 - there]
