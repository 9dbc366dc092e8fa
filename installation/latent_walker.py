"""Where a scene's walk is at a show time. Knows no clock, no model and no GPU."""

from installation.easing import EASES
from installation.latent import Drawn, Latent, Point
from installation.show import Pacing, Scene, Walk


def position_at(scene: Scene, show_time_s: float) -> float:
    """Return how far along its walk a scene is, in legs (a hold and the travel that follows it).

    The zero of every walk is the zero of show time; a walk goes on while its scene is off the wall.
    """
    pacing = scene.pacing
    return show_time_s * pacing.speed / (pacing.hold_s + pacing.travel_s)


def latent_at(scene: Scene, show_time_s: float) -> Latent:
    """Return the place in latent space where a scene's walk is; any time, in any order."""
    pacing = scene.pacing
    # The remainder of floats is exact, their quotient is not: a loop closes to the last bit.
    quotient, within_s = divmod(show_time_s * pacing.speed, pacing.hold_s + pacing.travel_s)
    leg = int(quotient)
    weight = _weight(pacing, within_s)
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


def _weight(pacing: Pacing, within_s: float) -> float:
    if within_s <= pacing.hold_s:
        return 0.0
    return EASES[pacing.ease]((within_s - pacing.hold_s) / pacing.travel_s)


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
