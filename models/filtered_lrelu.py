"""Bias, upsample, leaky ReLU, clamp and downsample as matrix products with banded matrices.

Pure PyTorch and differentiable; equal to `models.textbook.filtered_lrelu` to rounding. Knows
nothing of styles, layers or networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


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

    @property
    def tmp_size(self) -> int:
        """Samples an axis has where the non-linearity is applied."""
        return self.in_size * self.up + sum(self.padding) - self.up_taps + 1


def up_matrix(geometry: Geometry, fir: Tensor | None) -> Tensor:
    """Return [in_size, tmp_size]: zero-insertion, padding and `fir` (gain `up`) in one matrix."""
    taps = torch.ones(1, device="cpu") if fir is None else fir.detach()
    source = torch.arange(geometry.in_size, device=taps.device).unsqueeze(1) * geometry.up
    target = torch.arange(geometry.tmp_size, device=taps.device).unsqueeze(0)
    # The zero-inserted sample i·up lies at i·up + low on the padded grid; a "valid" convolution
    # with T taps gives output j the taps j … j+T-1 of that grid, the filter reversed.
    reach = target + taps.numel() - 1 - (source + geometry.padding[0])
    inside = (reach >= 0) & (reach < taps.numel())
    return taps[reach.clamp(0, taps.numel() - 1)] * inside * geometry.up


def down_matrix(geometry: Geometry, fir: Tensor | None) -> Tensor:
    """Return [tmp_size, out_size]: `fir` and decimation in one matrix."""
    taps = torch.ones(1, device="cpu") if fir is None else fir.detach()
    source = torch.arange(geometry.tmp_size, device=taps.device).unsqueeze(1)
    target = torch.arange(geometry.out_size, device=taps.device).unsqueeze(0) * geometry.down
    reach = target + taps.numel() - 1 - source
    inside = (reach >= 0) & (reach < taps.numel())
    return taps[reach.clamp(0, taps.numel() - 1)] * inside


def along_both(x: Tensor, matrix: Tensor) -> Tensor:
    """Apply `matrix` [A, B] to both of the last two axes of `x` [N, C, A, A] -> [N, C, B, B].

    The shared matrix meets one 2-D product per axis: torch.matmul of a matrix with a batched tensor
    would copy the matrix for every item.
    """
    batch, channels = x.shape[:2]
    wide = x.reshape(-1, matrix.shape[0]) @ matrix
    wide = wide.reshape(batch * channels, -1, matrix.shape[1]).transpose(1, 2)
    tall = wide.reshape(-1, matrix.shape[0]) @ matrix
    tall = tall.reshape(batch * channels, -1, matrix.shape[1]).transpose(1, 2)
    return tall.reshape(batch, channels, matrix.shape[1], matrix.shape[1])


def filtered_lrelu(
    x: Tensor,
    up: Tensor | None,
    down: Tensor | None,
    *,
    radial: Tensor | None = None,
    stride: int = 1,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Filter `x` [N, C, H, H], bias already added; `up` and `down` are matrices or None.

    `radial` [T, T] replaces `down` by a 2-D filter applied at every `stride`-th sample.
    """
    y = x if up is None else along_both(x, up)
    y = F.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    if radial is not None:
        batch, channels, height, width = y.shape
        flat = y.reshape(batch * channels, 1, height, width)
        y = F.conv2d(flat, radial.flip([0, 1])[None, None], stride=stride)
        return y.reshape(batch, channels, *y.shape[2:])
    return y if down is None else along_both(y, down)
