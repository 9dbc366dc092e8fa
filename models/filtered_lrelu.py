"""Upsample, leaky ReLU, clamp and downsample, fast and differentiable, in pure PyTorch.

Equal to `models.textbook.filtered_lrelu` to rounding, by one of two routes; `choose_route` picks
from device and number type. Knows nothing of styles, layers or networks.

- "banded": zero-insertion, padding and FIR of one axis are one constant banded matrix, so both axes
  are plain 2-D products for AMX and tensor cores. Pictures lie as [H, N, C, W], where the product
  along H is `matrix @ x.view(H, -1)` and the one along W `x.view(-1, W) @ matrix`: nothing is
  transposed between the axes. Large matrices are cut into tiles of outputs, each multiplied with
  the inputs it can see.
- "depthwise": the same FIR as depthwise (transposed) convolutions over pictures that lie channels
  last, where oneDNN's kernels vectorise over channels and no zero is ever multiplied.

One core of an AVX2 EPYC, float32, 51 channels, 78² -> 162² -> 76² (milliseconds): depthwise 2.7;
banded in tiles 3.9, of which 1.5 is one product that spends itself on packing; dense matrices 9;
textbook 26. Lost on the way: torch.matmul of the shared matrix with [C, H, W] (copies the matrix
per channel), torch.bmm with an expanded matrix (no copy, but 64 small products: 1.3–3× the time of
one product over [H, C·W]), tiles of 8 (packing), transposing between the axes (1.3 a time),
depthwise over interleaved copies instead of transposed convolution (2× in copies).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Route: TypeAlias = Literal["banded", "depthwise"]

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


def choose_route(x: Tensor) -> Route:
    """Pick the route measured (float32 on CPUs) or expected (all else) to be the faster one."""
    return "depthwise" if x.device.type == "cpu" and x.dtype == torch.float32 else "banded"


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


class FilteredLrelu:
    """One layer's filtered leaky ReLU, with everything constant made once.

    `gain` must be positive: it is folded into the up filter, since a leaky ReLU commutes with it.
    """

    def __init__(
        self, geometry: Geometry, *, gain: float, slope: float, clamp: float | None
    ) -> None:
        if gain <= 0:
            raise ValueError(f"gain is {gain}; expected a positive number")
        self.geometry, self.gain, self.slope, self.clamp = geometry, gain, slope, clamp
        self._made: dict[tuple[object, ...], Any] = {}
        self._sources: tuple[Tensor | None, Tensor | None, int, int] = (None, None, 0, 0)

    def __call__(
        self, x: Tensor, up: Tensor | None, down: Tensor | None, route: Route | None = None
    ) -> Tensor:
        """Filter `x` [N, C, in, in], its bias added already, to [N, C, out, out].

        `up` [T] and `down` [T], or [T, T] if radial, are the layer's filters as stored; None is the
        identity. `route` None lets `choose_route` decide.
        """
        self._watch(up, down)
        route = choose_route(x) if route is None else route
        if up is None or down is None:
            if up is not down:
                raise ValueError("one filter is missing; expected both filters or neither")
            y = x if self.gain == 1.0 else x * self.gain
            y = y if self.slope == 1.0 else F.leaky_relu(y, self.slope)
            return self._clamped(y, x, None)
        if route == "depthwise":
            return self._depthwise(x, up, down)
        return self._banded(x, up, down)

    def _watch(self, up: Tensor | None, down: Tensor | None) -> None:
        """Forget what was made from filters that are not, or no longer, these."""
        now = (up, down, _version(up), _version(down))
        if any(a is not b for a, b in zip(now[:2], self._sources[:2], strict=True)) or (
            now[2:] != self._sources[2:]
        ):
            self._made.clear()
            self._sources = now

    def _activate(self, y: Tensor, source: Tensor, up: Tensor) -> Tensor:
        """Apply the non-linearity to `y`, in place: nobody else holds it yet."""
        y = y if self.slope == 1.0 else F.leaky_relu_(y, self.slope)
        return self._clamped(y, source, up)

    def _clamped(self, y: Tensor, source: Tensor, up: Tensor | None) -> Tensor:
        if self.clamp is None or not self._may_clamp(source, up):
            return y
        return y.clamp(-self.clamp, self.clamp)

    def _may_clamp(self, source: Tensor, up: Tensor | None) -> bool:
        """Whether any sample can reach the clamp, judged on the far smaller input.

        |FIR(x)| ≤ max|x|·(Σ|taps|)²; exact, and 5× cheaper than clamping the oversampled picture
        where that is certain to change nothing. Not asked on GPUs, which would have to wait.
        """
        if source.device.type != "cpu" or self.clamp is None:
            return True
        key = ("reach",)
        if key not in self._made:
            total = 1.0 if up is None else float(up.detach().abs().sum()) * self.geometry.up
            self._made[key] = total**2 * self.gain
        low, high = torch.aminmax(source.detach())
        reach: float = max(-float(low), float(high)) * self._made[key]
        return not reach < self.clamp

    def _up_taps(self, up: Tensor) -> Tensor:
        """The up filter of one axis with its gain `up` and the root of the layer's gain in it."""
        gain: float = self.geometry.up * math.sqrt(self.gain)
        return up.detach() * gain

    def _depthwise(self, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        key = ("depthwise", x.dtype, x.device, x.shape[1])
        if key not in self._made:
            with _constants():
                self._made[key] = self._depthwise_weights(x, up, down)
        (up_h, up_w), downs = self._made[key]
        y = self._raise(self._raise(x, up_w, axis=1), up_h, axis=0)
        y = self._activate(y, x, up)
        for weight in downs:
            stride = tuple(self.geometry.down if size > 1 else 1 for size in weight.shape[2:])
            y = F.conv2d(y, weight, stride=stride, groups=x.shape[1])
        return y

    def _depthwise_weights(
        self, x: Tensor, up: Tensor, down: Tensor
    ) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:
        def bank(kernel: Tensor) -> Tensor:
            return kernel.to(x.dtype).expand(x.shape[1], 1, *kernel.shape).contiguous()

        taps = self._up_taps(up)
        ups = bank(taps.reshape(-1, 1)), bank(taps.reshape(1, -1))
        down = down.detach()
        if down.ndim == 2:
            return ups, [bank(down.flip([0, 1]))]
        line = down.flip([0])
        return ups, [bank(line.reshape(1, -1)), bank(line.reshape(-1, 1))]

    def _raise(self, x: Tensor, weight: Tensor, axis: int) -> Tensor:
        """Upsample `x` along H (axis 0) or W (axis 1) by a transposed depthwise convolution."""
        before, after = self.geometry.up_crop
        crop = max(min(before, after), 0)
        stride = [1, 1]
        padding = [0, 0]
        stride[axis], padding[axis] = self.geometry.up, crop
        y = F.conv_transpose2d(x, weight, stride=stride, padding=padding, groups=x.shape[1])
        if before == after == crop:
            return y
        rest = [crop - before, crop - after]
        return F.pad(y, [0, 0, *rest] if axis == 0 else rest)

    def _banded(self, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        key = ("banded", x.dtype, x.device)
        if key not in self._made:
            with _constants():
                matrices = [up_matrix(self.geometry, self._up_taps(up))]
                matrices += [down_matrix(self.geometry, taps) for taps in _separable(down)]
                self._made[key] = [Banded(matrix.to(x.dtype)) for matrix in matrices]
        raised, *downs = self._made[key]
        lying = x.permute(2, 0, 1, 3).contiguous()
        y = self._activate(_along_both(lying, raised, raised), x, up)
        parts = [_along_both(y, downs[i], downs[i + 1]) for i in range(0, len(downs), 2)]
        total = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        return total.permute(1, 2, 0, 3)


def _along_both(x: Tensor, first: Banded, last: Banded) -> Tensor:
    """Apply one banded matrix to H and one to W of `x` [H, N, C, W]."""
    _, batch, channels, width = x.shape
    y = _product(x.reshape(x.shape[0], -1), first, along_first=True)
    y = _product(y.reshape(-1, width), last, along_first=False)
    return y.reshape(first.shape[1], batch, channels, last.shape[1])


def _separable(down: Tensor) -> list[Tensor]:
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


@contextmanager
def _constants() -> Iterator[None]:
    """Make constants that later calls may use with and without gradients."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _version(tensor: Tensor | None) -> int:
    return 0 if tensor is None or tensor.is_inference() else tensor._version
