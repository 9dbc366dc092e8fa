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

One core of an AVX2 EPYC, float32, 51 channels, 78² -> 162² -> 76², milliseconds: depthwise 3.5
(8.5 with a radial filter), banded in tiles 11 (20), banded but dense 14 (37), textbook 22 (27).
Lost on the way: torch.matmul of the shared matrix with [C, H, W] (copies the matrix per channel),
torch.bmm with an expanded matrix (no copy, but many small products: 1.3–3× the time of one product
over [H, C·W]), tiles of 8 (packing: 2–4×), transposing between the axes (1.3 a time), depthwise
over interleaved copies instead of transposed convolution (1.5× in copies), the leaky ReLU fused
into oneDNN's transposed convolution (12×: its reference code), a custom autograd function over a
few samples at a time (a step of 16 at 64 px: 0.72 s as without, once freed memory is kept).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from models.banded import (
    Banded,
    Geometry,
    along_both,
    down_matrix,
    separable_pairs,
    up_matrix,
)

Route: TypeAlias = Literal["banded", "depthwise"]

# Oversampled bytes filtered at a time without gradients. A 256 px network took 3.5 s a picture
# whole, a third of it in page faults; 2.8 in pieces of 4 MiB, 2.4 of 8, 2.3 of 16, 2.5 of 32.
PIECE_BYTES = 16 << 20


def choose_route(x: Tensor) -> Route:
    """Pick the route measured (float32 on CPUs) or expected (all else) to be the faster one."""
    return "depthwise" if x.device.type == "cpu" and x.dtype == torch.float32 else "banded"


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

    def __deepcopy__(self, memo: dict[int, object]) -> FilteredLrelu:
        """Copy what was asked for, not what was made: the copy's filters go their own way."""
        return FilteredLrelu(self.geometry, gain=self.gain, slope=self.slope, clamp=self.clamp)

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
        batch, channels = x.shape[:2]
        samples, width = self._piece(x)
        if (samples, width) == (batch, channels):
            return self._depthwise_piece(x, up, down)
        size = (batch, channels, self.geometry.out_size, self.geometry.out_size)
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for n in range(0, batch, samples):
            for c in range(0, channels, width):
                part = x[n : n + samples, c : c + width]
                y[n : n + samples, c : c + width] = self._depthwise_piece(part, up, down)
        return y

    def _piece(self, x: Tensor) -> tuple[int, int]:
        """Samples and channels to filter at a time: all, where gradients need all anyway."""
        batch, channels = x.shape[:2]
        if torch.is_grad_enabled() and x.requires_grad:
            return batch, channels
        plane = self.geometry.tmp_size**2 * x.element_size()
        samples = PIECE_BYTES // (plane * channels)
        if samples >= 1:
            return min(samples, batch), channels
        return 1, min(max(PIECE_BYTES // plane // 8 * 8, 16), channels)

    def _depthwise_piece(self, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
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
                matrices += [down_matrix(self.geometry, taps) for taps in separable_pairs(down)]
                self._made[key] = [Banded(matrix.to(x.dtype)) for matrix in matrices]
        raised, *downs = self._made[key]
        lying = x.permute(2, 0, 1, 3).contiguous()
        y = self._activate(along_both(lying, raised, raised), x, up)
        parts = [along_both(y, downs[i], downs[i + 1]) for i in range(0, len(downs), 2)]
        total = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        return total.permute(1, 2, 0, 3)


@contextmanager
def _constants() -> Iterator[None]:
    """Make constants that later calls may use with and without gradients."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _version(tensor: Tensor | None) -> int:
    return 0 if tensor is None or tensor.is_inference() else tensor._version
