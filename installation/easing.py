"""Curves from [0, 1] to [0, 1], each with its source. Knows neither time nor pictures."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

Ease = Callable[[float], float]


def unit(value: float) -> float:
    """Return `value` held within [0, 1]."""
    return min(1.0, max(0.0, value))


def linear(u: float) -> float:
    """Constant speed: u itself, held within [0, 1]."""
    return unit(u)


def smooth(u: float) -> float:
    """Cubic Hermite 3u² - 2u³ ("smoothstep"): speed is zero at both ends."""
    u = unit(u)
    return u * u * (3.0 - 2.0 * u)


def smoother(u: float) -> float:
    """Quintic 6u⁵ - 15u⁴ + 10u³ (Perlin 2002, "Improving Noise", §2): acceleration is zero too."""
    u = unit(u)
    return u * u * u * (u * (6.0 * u - 15.0) + 10.0)


def sine(u: float) -> float:
    """Half a cosine wave, (1 - cos πu) / 2: the gentlest start of the four after `linear`."""
    return 0.5 - 0.5 * math.cos(math.pi * unit(u))


EASES: Mapping[str, Ease] = MappingProxyType(
    {"linear": linear, "smooth": smooth, "smoother": smoother, "sine": sine}
)


def smooth_area(u: float) -> float:
    """Area under `smooth` from 0 to u: u³ - u⁴/2; past 1 it grows with slope 1.

    An eased change of speed integrates to this, so show time has a closed form while it lasts.
    """
    if u <= 0.0:
        return 0.0
    if u >= 1.0:
        return u - 0.5
    return u * u * u * (1.0 - 0.5 * u)
