"""Low-pass filters of StyleGAN3's layers, designed in float64; knows nothing of layers.

Kaiser-windowed sinc filters (Kaiser 1974) and, for rotation-equivariant networks, their radially
symmetric 2-D counterparts (Karras 2021, appendix C.1).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Float64: TypeAlias = NDArray[np.float64]


def kaiser_beta(taps: int, transition_width: float, sampling_rate: float) -> float:
    """Return Kaiser's β for `taps` taps and a transition width in the unit of `sampling_rate`."""
    ripple: float = 2.285 * (taps - 1) * math.pi * (transition_width / (sampling_rate / 2)) + 7.95
    if ripple > 50:
        return 0.1102 * (ripple - 8.7)
    if ripple > 21:
        return 0.5842 * math.pow(ripple - 21, 0.4) + 0.07886 * (ripple - 21)
    return 0.0


def _kaiser_window(taps: int, beta: float) -> Float64:
    position = 2 * np.arange(taps, dtype=np.float64) / (taps - 1) - 1
    window: Float64 = np.i0(beta * np.sqrt(np.clip(1 - position**2, 0, None))) / np.i0(beta)
    return window


def lowpass(
    taps: int, cutoff: float, half_width: float, sampling_rate: float, *, radial: bool = False
) -> Tensor | None:
    """Return a float32 low-pass filter of sum one: [taps], or [taps, taps] if `radial`.

    One tap means no filter at all: None. Frequencies are in the unit of `sampling_rate`.
    """
    if taps <= 1:
        return None
    window = _kaiser_window(taps, kaiser_beta(taps, 2 * half_width, sampling_rate))
    time = (np.arange(taps, dtype=np.float64) - (taps - 1) / 2) / sampling_rate
    if radial:
        response = _jinc(np.hypot(*np.meshgrid(time, time)), cutoff) * np.outer(window, window)
    else:
        response = np.sinc(2 * cutoff * time) * window
    return torch.from_numpy(response / response.sum()).to(torch.float32)


def _jinc(radius: Float64, cutoff: float) -> Float64:
    """J₁(2π·f·r)/(π·r), the ideal circular low-pass; its limit at r = 0 is f."""
    safe = np.where(radius == 0, 1.0, radius)
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * np.pi * cutoff * safe)).numpy()
    result: Float64 = np.where(radius == 0, cutoff, bessel / (np.pi * safe))
    return result
