"""Points of a latent space and the curves between them, as values and numpy arithmetic.

Knows no model, no show and no time: a walk says which points, a model says how many dimensions.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Space = Literal["z", "w"]
Vector = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

_WORD = (1 << 64) - 1
_PARALLEL = (
    1e-7  # sin Ω below which the arc's plane is lost to rounding; lerp's error there is Ω³/15
)


@dataclass(frozen=True, slots=True)
class Seed:
    """The point artists call "seed 42": numpy's RandomState(seed).randn(dim), 0 ≤ seed < 2³²."""

    seed: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Point `index` of the endless sequence `stream`: whole numbers of 64 bits, negative too."""

    stream: int
    index: int


@dataclass(frozen=True, slots=True)
class Given:
    """A point written out: as many numbers as the space has dimensions."""

    values: tuple[float, ...]


Point = Seed | Drawn | Given


@dataclass(frozen=True, slots=True)
class Latent:
    """A place between waypoints `a` and `b`, `weight` in [0, 1] of the way, truncated by `psi`.

    Without `before` and `after` the way is an arc (z: slerp, w: a straight line). With them it is
    the middle piece of a cubic spline over the four points, which has no corners.
    In space "w" the points `Seed` and `Drawn` are z points that the model maps first, one by one;
    `Given` is a w vector already.
    """

    space: Space
    a: Point
    b: Point
    weight: float
    psi: float = 1.0
    before: Point | None = None
    after: Point | None = None


@lru_cache(maxsize=4096)
def point_vector(point: Point, dim: int) -> Vector:
    """Return the point as a read-only float32 vector [dim].

    Raises ValueError where a written-out point has another number of values than `dim`.
    """
    match point:
        case Seed(seed):
            vector = np.random.RandomState(seed).randn(dim)
        case Drawn(stream, index):
            vector = _drawn(stream, index, dim)
        case Given(values):
            if len(values) != dim:
                raise ValueError(
                    f"a waypoint is written out with {len(values)} numbers, "
                    f"but this model's latent space has {dim}: write {dim} numbers, or a seed"
                )
            vector = np.asarray(values, dtype=np.float64)
    result = vector.astype(np.float32)
    result.setflags(write=False)
    return result


def _drawn(stream: int, index: int, dim: int) -> npt.NDArray[np.float64]:
    """Normal numbers [dim] from Philox4x64-10 (Salmon et al. 2011) keyed by (stream, index).

    Box and Muller 1958 on the raw words, since numpy promises those for ever and its own normal
    sampler only for one version. A vector of fewer dimensions is the beginning of a longer one.
    """
    pairs = (dim + 1) // 2
    key = np.array([stream & _WORD, index & _WORD], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(2 * pairs).reshape(pairs, 2)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1)
    radius = np.sqrt(-2.0 * np.log(uniform[:, 0]))
    angle = 2.0 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:dim]


def lerp(a: Array, b: Array, t: float) -> Array:
    """Straight line between arrays [..., dim]: a at t = 0, b at t = 1, exactly."""
    return np.asarray(a * (1.0 - t) + b * t, dtype=np.result_type(a, b))


def slerp(a: Array, b: Array, t: float) -> Array:
    """Great arc between arrays [..., dim], t in [0, 1]; a at t = 0 and b at t = 1, exactly.

    Directions follow Slerp (Shoemake 1985, §3.3: sin((1-t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b),
    lengths go linearly from |a| to |b|: Gaussian points differ in length, and a walk between two
    of them should dip into neither the centre nor the far outside. Equal directions give the
    straight line. Exactly opposite ones leave the plane open; the half turn then goes through the
    coordinate axis to which `a` is closest to square, so that it is the same half turn every time.
    A zero vector takes the other's direction.
    """
    dtype = np.result_type(a, b)
    if t in (0.0, 1.0):
        return np.array(np.broadcast_arrays(a, b)[int(t)], dtype=dtype)  # a copy: writable
    a64, b64 = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length_a = np.linalg.norm(a64, axis=-1, keepdims=True)
    length_b = np.linalg.norm(b64, axis=-1, keepdims=True)
    length = length_a * (1.0 - t) + length_b * t
    u, v = _directions(a64, length_a, b64, length_b)
    # Kahan's half-angle formula: exact near 0 and near π, where arccos of a dot product is not.
    omega = 2.0 * np.arctan2(_norm(u - v), _norm(u + v))
    sine = np.sin(omega)
    regular = sine > _PARALLEL
    divisor = np.where(regular, sine, 1.0)
    way = np.sin((1.0 - t) * omega) / divisor * u + np.sin(t * omega) / divisor * v
    if not regular.all():
        half_turn = np.cos(t * np.pi) * u + np.sin(t * np.pi) * _square_to(u)
        straight = (1.0 - t) * u + t * v
        way = np.where(regular, way, np.where(omega < 1.0, straight, half_turn))
    return np.asarray(way * length, dtype=dtype)


def _norm(x: Array) -> Array:
    return np.asarray(np.linalg.norm(x, axis=-1, keepdims=True))


def _directions(a: Array, length_a: Array, b: Array, length_b: Array) -> tuple[Array, Array]:
    u = a / np.where(length_a > 0.0, length_a, 1.0)
    v = b / np.where(length_b > 0.0, length_b, 1.0)
    return np.where(length_a > 0.0, u, v), np.where(length_b > 0.0, v, u)


def _square_to(u: Array) -> Array:
    """A unit vector at right angles to each unit vector of [..., dim] (zero where dim is 1)."""
    axis = np.zeros_like(u)
    np.put_along_axis(axis, np.argmin(np.abs(u), axis=-1)[..., None], 1.0, axis=-1)
    square = axis - np.sum(axis * u, axis=-1, keepdims=True) * u
    length = _norm(square)
    return np.asarray(square / np.where(length > 0.0, length, 1.0))


def spline_weights(t: float) -> tuple[float, float, float, float]:
    """Uniform cubic B-spline weights (de Boor 1978, ch. IX) of four points; they sum to 1."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0,
        t * t * t / 6.0,
    )


def weighted_points(latent: Latent) -> tuple[tuple[Point, float], ...]:
    """Return the points and weights (summing to 1) whose weighted mean is this latent in w."""
    if latent.before is None or latent.after is None:
        return ((latent.a, 1.0 - latent.weight), (latent.b, latent.weight))
    points = (latent.before, latent.a, latent.b, latent.after)
    return tuple(zip(points, spline_weights(latent.weight), strict=True))


def latent_vector(latent: Latent, dim: int) -> Vector:
    """Return the z vector float32 [dim] of a latent in space "z", before any truncation.

    On a spline the weights are divided by the root of their sum of squares, so that the mixture of
    independent standard normal points is itself standard normal at every moment of the walk.
    Raises ValueError for a latent in space "w" (only a model can map its points), or where a
    written-out point has the wrong number of values.
    """
    if latent.space != "z":
        raise ValueError(
            "a latent in space w has no z vector: map its weighted_points and mix them"
        )
    if latent.before is None or latent.after is None:
        return slerp(point_vector(latent.a, dim), point_vector(latent.b, dim), latent.weight)
    points = weighted_points(latent)
    total = sum(np.float64(weight) * point_vector(point, dim) for point, weight in points)
    scale = sum(weight * weight for _, weight in points) ** -0.5
    return np.asarray(total * scale, dtype=np.float32)
