"""Which number type a device computes large layers in, and what that costs in the picture.

Knows no model: it looks at the machine and at finished pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

PRECISIONS = ("float32", "bfloat16", "float16")
FAST_BFLOAT16 = {"amx_bf16", "avx512_bf16"}  # without them it is emulated: 70× slower than float32


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return what the processor says it can do; empty where the system has no such file."""
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    words = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return frozenset(words[0]) if words else frozenset()


def choose_precision(device: str, wanted: str, flags: frozenset[str] | None = None) -> str:
    """Return the precision for "auto" or check the one that was asked for.

    float16 on CUDA; bfloat16 on a CPU with AMX or AVX512-bf16; float32 elsewhere. Raises ValueError
    for float16 on a CPU and for unknown words.
    """
    on_cpu = torch.device(device).type == "cpu"
    if wanted == "auto":
        if not on_cpu:
            return "float16"
        known = cpu_flags() if flags is None else flags
        return "bfloat16" if known & FAST_BFLOAT16 else "float32"
    if wanted not in PRECISIONS:
        raise ValueError(f"precision is {wanted!r}; expected auto, {', '.join(PRECISIONS)}")
    if wanted == "float16" and on_cpu:
        raise ValueError("precision is 'float16' on a CPU; use auto, float32 or bfloat16 there")
    return wanted


def precision_dtype(precision: str) -> torch.dtype:
    """Return the torch type of a precision's name."""
    dtype = getattr(torch, precision, None) if precision in PRECISIONS else None
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"precision is {precision!r}; expected {', '.join(PRECISIONS)}")
    return dtype


@dataclass(frozen=True)
class PixelDifference:
    """How far two sets of pictures are apart, in levels of 255."""

    mean: float
    largest: int


def pixel_difference(first: Tensor, second: Tensor) -> PixelDifference:
    """Compare pictures [N, 3, H, W], nominally in [-1, 1], as the 8-bit pictures they become."""
    if first.shape != second.shape:
        raise ValueError(f"shapes {list(first.shape)} and {list(second.shape)} differ")
    levels = (_to_levels(first) - _to_levels(second)).abs()
    return PixelDifference(mean=float(levels.mean(dtype=torch.float64)), largest=int(levels.max()))


def _to_levels(pictures: Tensor) -> Tensor:
    return (pictures.detach().cpu().to(torch.float32) * 127.5 + 128).clamp(0, 255).floor()
