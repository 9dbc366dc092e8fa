"""The generator of StyleGAN2-ADA snapshots; refuses to know about files, cards or losses.

Formulas: Karras et al. 2020 ("Analyzing and Improving the Image Quality of StyleGAN"), skip
architecture. State-dict names and shapes are those of published snapshots.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.equalised import LRELU_SLOPE, SQRT2, FullyConnected, MappingNetwork

Noise: TypeAlias = Literal["const", "none", "random"]
BINOMIAL = (1.0, 3.0, 3.0, 1.0)


def _resample_filter() -> Tensor:
    line = torch.tensor(BINOMIAL)
    return line.outer(line) / 64


def _smooth(x: Tensor, fir: Tensor, padding: int) -> Tensor:
    """Filter `x` [N, C, H, W] by `fir` [4, 4] with gain 4, zero-padded on all sides."""
    bank = (fir * 4).to(x.dtype).expand(x.shape[1], 1, *fir.shape)
    return F.conv2d(x, bank, padding=padding, groups=x.shape[1])


class SynthesisLayer(nn.Module):
    """A modulated 3×3 convolution, optionally doubling the picture, with noise and leaky ReLU."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        *,
        up: int,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", _resample_filter())
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Noise = "const") -> Tensor:
        """Return [N, out, R, R] in x's number type for x [N, in, R/up, R/up] and w [N, w_dim]."""
        weight, styles = self.weight, self.affine(w)
        energy = styles.square() @ weight.square().sum(dim=(2, 3)).t()
        demodulation = (energy + 1e-8).rsqrt()
        if x.dtype == torch.float16:
            # Both scales cancel in the demodulation; they keep the sums inside float16's range.
            reach = styles.abs().amax(dim=1, keepdim=True)
            styles, demodulation = styles / reach, demodulation * reach
        y = self._convolve(x * styles.to(x.dtype)[:, :, None, None], weight.to(x.dtype))
        y = y * demodulation.to(x.dtype)[:, :, None, None]
        if noise != "none":
            y = y + self._noise(len(x), noise, x.dtype)
        y = F.leaky_relu(y + self.bias.to(x.dtype)[:, None, None], LRELU_SLOPE) * SQRT2
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        # Channels last: a 256 px picture takes 442 ms instead of 568 (two cores, AVX2).
        x = x.contiguous(memory_format=torch.channels_last)
        if self.up == 1:
            return F.conv2d(x, weight, padding=1)
        # Zero-insertion, FIR and true convolution commute: convolve first, on fewer samples.
        raised = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return _smooth(raised, self.resample_filter, padding=1)

    def _noise(self, batch: int, noise: Noise, dtype: torch.dtype) -> Tensor:
        plane = self.noise_const
        if noise == "random":
            plane = torch.randn(batch, 1, *plane.shape, device=plane.device)
        return (plane * self.noise_strength).to(dtype)


class ToRGBLayer(nn.Module):
    """A modulated 1×1 convolution to the picture's channels, without demodulation."""

    def __init__(
        self, in_channels: int, img_channels: int, w_dim: int, conv_clamp: float | None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.style_gain = 1 / math.sqrt(in_channels)
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return [N, img_channels, R, R] for x [N, C, R, R] and w [N, w_dim]."""
        styles = (self.affine(w) * self.style_gain).to(x.dtype)
        y = F.conv2d(x * styles[:, :, None, None], self.weight.to(x.dtype), self.bias.to(x.dtype))
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisBlock(nn.Module):
    """One resolution: conv0 (doubling, absent at 4), conv1 and the step towards the picture."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        *,
        conv_clamp: float | None,
        use_fp16: bool,
    ) -> None:
        super().__init__()
        self.resolution, self.use_fp16 = resolution, use_fp16
        self.is_first = in_channels == 0
        self.num_conv = 1 if self.is_first else 2
        self.register_buffer("resample_filter", _resample_filter())
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, up=2, conv_clamp=conv_clamp
            )
        self.conv1 = SynthesisLayer(
            out_channels, out_channels, w_dim, resolution, up=1, conv_clamp=conv_clamp
        )
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp)

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Noise, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Return (features, picture so far in float32); `ws` [N, num_conv + 1, w_dim]."""
        rows = iter(ws.unbind(dim=1))
        if x is None:
            x = self.const.to(dtype).expand(len(ws), -1, -1, -1)
        else:
            x = self.conv0(x.to(dtype), next(rows), noise)
        x = self.conv1(x, next(rows), noise)
        step = self.torgb(x, next(rows)).to(torch.float32)
        if img is not None:
            bank = (self.resample_filter * 4).expand(img.shape[1], 1, 4, 4)
            img = F.conv_transpose2d(img, bank, stride=2, padding=1, groups=img.shape[1])
        return x, step if img is None else img + step


class SynthesisNetwork(nn.Module):
    """From ws to a picture, doubling the resolution from 4×4."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        *,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 4,
        conv_clamp: float | None = 256.0,
    ) -> None:
        super().__init__()
        if img_resolution < 4 or img_resolution & (img_resolution - 1):
            raise ValueError(
                f"img_resolution is {img_resolution}; expected a power of two, at least 4"
            )
        self.w_dim, self.img_resolution, self.img_channels = w_dim, img_resolution, img_channels
        powers = img_resolution.bit_length() - 1
        self.block_resolutions = [2**power for power in range(2, powers + 1)]
        self.num_ws = 2 * powers - 2
        first_fp16 = max(2 ** (powers + 1 - num_fp16_res), 8)
        before = 0
        for res in self.block_resolutions:
            channels = min(channel_base // res, channel_max)
            block = SynthesisBlock(
                before,
                channels,
                w_dim,
                res,
                img_channels,
                conv_clamp=conv_clamp,
                use_fp16=res >= first_fp16,
            )
            setattr(self, f"b{res}", block)
            before = channels

    def forward(
        self, ws: Tensor, noise: Noise = "const", reduced: torch.dtype = torch.float32
    ) -> Tensor:
        """Return pictures [N, img_channels, R, R], float32, nominally in [-1, 1], not clipped.

        `ws` is [N, num_ws, w_dim]. `noise` is the stored one, none, or drawn anew. `reduced` is the
        number type of the blocks that tolerate half precision.
        """
        if ws.ndim != 3 or list(ws.shape[1:]) != [self.num_ws, self.w_dim]:
            raise ValueError(
                f"ws has shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}]"
            )
        x: Tensor | None = None
        img: Tensor | None = None
        start = 0
        for res in self.block_resolutions:
            block = getattr(self, f"b{res}")
            rows = ws.narrow(1, start, block.num_conv + 1)
            dtype = reduced if block.use_fp16 else torch.float32
            x, img = block(x, img, rows, noise, dtype)
            start += block.num_conv  # the next block's first layer shares the row of torgb
        if img is None:
            raise RuntimeError("the network has no blocks")
        return img


class Generator(nn.Module):
    """Mapping and synthesis. Every keyword beyond the named ones goes to the synthesis network."""

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        mapping_kwargs: dict[str, Any] | None = None,
        **synthesis_kwargs: Any,  # noqa: ANN401  (numbers and flags)
    ) -> None:
        super().__init__()
        self.init_kwargs: dict[str, Any] = {
            "z_dim": z_dim,
            "c_dim": c_dim,
            "w_dim": w_dim,
            "img_resolution": img_resolution,
            "img_channels": img_channels,
            "mapping_kwargs": dict(mapping_kwargs or {}),
            **synthesis_kwargs,
        }
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        options = {"num_layers": 8, **(mapping_kwargs or {})}
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **options)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: Noise = "const",
    ) -> Tensor:
        """Return pictures [N, img_channels, R, R] for z [N, z_dim] and classes c [N, c_dim]."""
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        pictures: Tensor = self.synthesis(ws, noise)
        return pictures
