"""Upsampling and downsampling filters of one axis as constant banded matrices, and their products.

Differentiable in what they are multiplied with. Knows no non-linearity and no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TILE = 16  # outputs a tile; more multiplies more zeros, fewer only pack: 8 costs 2–4×
DENSE_BELOW = 48  # inputs; smaller matrices are cheaper whole


@dataclass(frozen=True)
class Geometry:
    """The shape of one filtered leaky ReLU along either axis of a square picture."""

    in_size: int
    out_size: int
    up: int
    down: int
    padding: tuple[int, int]
    up_taps: int
    down_taps: int

    def __post_init__(self) -> None:
        """Refuse sizes that don't follow from each other."""
        out_size = (self.tmp_size - self.down_taps) // self.down + 1
        if out_size != self.out_size:
            raise ValueError(f"out_size is {self.out_size}; these filters give {out_size}")

    @property
    def tmp_size(self) -> int:
        """Samples an axis has where the non-linearity is applied."""
        return self.in_size * self.up + sum(self.padding) - self.up_taps + 1

    @property
    def up_crop(self) -> tuple[int, int]:
        """Samples the full transposed convolution has too many before and after (negative: few)."""
        low, high = self.padding
        return self.up_taps - 1 - low, self.up_taps - self.up - high


def up_matrix(geometry: Geometry, taps: Tensor) -> Tensor:
    """Return [in_size, tmp_size]: zero-insertion, padding and the filter `taps` [T] in one."""
    source = torch.arange(geometry.in_size, device=taps.device).unsqueeze(1) * geometry.up
    target = torch.arange(geometry.tmp_size, device=taps.device).unsqueeze(0)
    return _gather(taps, target + geometry.up_taps - 1 - geometry.padding[0] - source)


def down_matrix(geometry: Geometry, taps: Tensor) -> Tensor:
    """Return [tmp_size, out_size]: the filter `taps` [T] and decimation in one."""
    source = torch.arange(geometry.tmp_size, device=taps.device).unsqueeze(1)
    target = torch.arange(geometry.out_size, device=taps.device).unsqueeze(0) * geometry.down
    return _gather(taps, target + geometry.down_taps - 1 - source)


def _gather(taps: Tensor, index: Tensor) -> Tensor:
    inside = (index >= 0) & (index < taps.numel())
    return taps[index.clamp(0, taps.numel() - 1)] * inside


class Banded:
    """A constant banded matrix [A, B], cut into the tiles its products need."""

    def __init__(self, matrix: Tensor, tile: int = TILE) -> None:
        self.shape = matrix.shape
        self._tiles = {False: _tiles(matrix, tile), True: _tiles(matrix.t(), tile)}

    def rows(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """Return `x @ matrix` for x [R, A] -> [R, B] (or `x @ matrixᵀ`)."""
        y = x.new_empty(x.shape[0], self.shape[0 if transposed else 1])
        for low, high, start, stop, tile in self._tiles[transposed]:
            torch.mm(x[:, low:high], tile, out=y[:, start:stop])
        return y

    def columns(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """Return `matrixᵀ @ x` for x [A, R] -> [B, R] (or `matrix @ x`)."""
        y = x.new_empty(self.shape[0 if transposed else 1], x.shape[1])
        for low, high, start, stop, tile in self._tiles[transposed]:
            torch.mm(tile.t(), x[low:high], out=y[start:stop])
        return y


def _tiles(matrix: Tensor, tile: int) -> list[tuple[int, int, int, int, Tensor]]:
    """Cut [A, B] into column tiles (low, high, start, stop, part) with the rows that matter."""
    if matrix.shape[0] <= DENSE_BELOW:
        return [(0, matrix.shape[0], 0, matrix.shape[1], matrix.contiguous())]
    tiles = []
    for start in range(0, matrix.shape[1], tile):
        part = matrix[:, start : start + tile]
        used = part.abs().sum(dim=1).nonzero().flatten().tolist() or [0]
        low, high = used[0], used[-1] + 1
        tiles.append((low, high, start, start + part.shape[1], part[low:high].contiguous()))
    return tiles


class _Product(torch.autograd.Function):
    """A product with a constant banded matrix along the first ("columns") or last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, banded: Banded, along_first: bool) -> Tensor:  # noqa: ANN401
        ctx.banded, ctx.along_first = banded, along_first
        return banded.columns(x) if along_first else banded.rows(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        grad = grads[0].contiguous()
        product = ctx.banded.columns if ctx.along_first else ctx.banded.rows
        return product(grad, transposed=True), None, None


def _product(x: Tensor, banded: Banded, *, along_first: bool) -> Tensor:
    if torch.is_grad_enabled() and x.requires_grad:
        return _Product.apply(x, banded, along_first)  # type: ignore[no-any-return, no-untyped-call]
    return banded.columns(x) if along_first else banded.rows(x)


def along_both(x: Tensor, first: Banded, last: Banded) -> Tensor:
    """Apply one banded matrix to H and one to W of `x` [H, N, C, W]."""
    _, batch, channels, width = x.shape
    y = _product(x.reshape(x.shape[0], -1), first, along_first=True)
    y = _product(y.reshape(-1, width), last, along_first=False)
    return y.reshape(first.shape[1], batch, channels, last.shape[1])


def separable_pairs(down: Tensor) -> list[Tensor]:
    """Return filters h₀, w₀, h₁, w₁ … [T] with Σ hᵢ⊗wᵢ = `down`; [T] itself is one pair.

    A radial [T, T] filter is a sum of few products (singular values; at most T/2 by its symmetry).
    """
    if down.ndim == 1:
        return [down, down]
    left, values, right = torch.linalg.svd(down.to(torch.float64))
    kept = int((values > values[0] * 1e-8).sum())
    pairs = []
    for i in range(kept):
        pairs += [(left[:, i] * values[i]).to(down.dtype), right[i].to(down.dtype)]
    return pairs
