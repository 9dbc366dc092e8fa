"""The alias-free generator, configurations T and R; refuses to know about files, cards or losses.

Formulas: Karras et al. 2021 ("Alias-Free Generative Adversarial Networks"), §3 and appendices C, F.
State-dict names and shapes are those of published snapshots, so their tensors load as they are.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import fir_design, textbook
from models.banded import Geometry
from models.equalised import LRELU_SLOPE, SQRT2, FullyConnected, MappingNetwork
from models.filtered_lrelu import FilteredLrelu, Route
from models.layer_schedule import LayerSpec, ScheduleOptions, schedule

Path: TypeAlias = Literal["auto", "banded", "depthwise", "textbook"]


class SynthesisInput(nn.Module):
    """Fourier features under a rotation and translation chosen by w."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, w_dim: int, channels: int, size: int, rate: float, bandwidth: float) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        self.sampling_rate, self.bandwidth = rate, bandwidth
        direction = torch.randn(channels, 2)
        radius = direction.norm(dim=1, keepdim=True)
        # Uniform over the disc of radius `bandwidth`.
        freqs = direction / radius * torch.exp(-radius.square() / 4) * bandwidth
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(w_dim, 4, weight_init=0.0, bias_init=(1.0, 0.0, 0.0, 0.0))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def matrix(self, w: Tensor) -> Tensor:
        """Return the output-to-input transform [N, 3, 3] of w [N, w_dim] and the user's own."""
        t = self.affine(w)
        cos, sin, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
        # Rotation [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]] times translation by (-x, -y).
        rows = [cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y]
        top = torch.stack(rows, dim=1).reshape(-1, 2, 3)
        bottom = top.new_tensor([[[0.0, 0.0, 1.0]]]).expand(len(top), 1, 3)
        return torch.cat([top, bottom], dim=1) @ self.transform

    def forward(self, w: Tensor) -> Tensor:
        """Return features [N, channels, size, size] for w [N, w_dim]."""
        return textbook.synthesis_input(
            self.weight,
            self.freqs,
            self.phases,
            self.matrix(w),
            size=self.size,
            rate=self.sampling_rate,
            band=self.bandwidth,
        )


class SynthesisLayer(nn.Module):
    """One modulated convolution followed by one filtered leaky ReLU."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(
        self, spec: LayerSpec, w_dim: int, *, conv_clamp: float | None, magnitude_ema_beta: float
    ) -> None:
        super().__init__()
        self.spec, self.conv_clamp, self.magnitude_ema_beta = spec, conv_clamp, magnitude_ema_beta
        source, target, kernel = spec.source, spec.target, spec.conv_kernel
        self.weight = nn.Parameter(torch.randn(target.channels, source.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.affine = FullyConnected(w_dim, source.channels, bias_init=1.0)
        self.register_buffer("magnitude_ema", torch.ones([]))
        rate = float(spec.tmp_sampling_rate)
        up = fir_design.lowpass(spec.up_taps, source.cutoff, source.half_width, rate)
        down = fir_design.lowpass(
            spec.down_taps, target.cutoff, target.half_width, rate, radial=spec.down_radial
        )
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)
        self.gain = 1.0 if spec.is_torgb else SQRT2
        self.slope = 1.0 if spec.is_torgb else LRELU_SLOPE
        geometry = Geometry(
            in_size=source.size + kernel - 1,
            out_size=target.size,
            up=spec.up_factor,
            down=spec.down_factor,
            padding=spec.padding,
            up_taps=spec.up_taps,
            down_taps=spec.down_taps,
        )
        self.filtered_lrelu = FilteredLrelu(
            geometry, gain=self.gain, slope=self.slope, clamp=conv_clamp
        )

    def styles(self, w: Tensor) -> Tensor:
        """Return the styles [N, in_channels] of w [N, w_dim]."""
        styles: Tensor = self.affine(w)
        if self.spec.is_torgb:
            styles = styles / math.sqrt(self.spec.source.channels * self.spec.conv_kernel**2)
        return styles

    def forward(
        self, x: Tensor, w: Tensor, path: Path = "auto", update_ema: bool = False
    ) -> Tensor:
        """Return the layer's output [N, C', H', W'] for x [N, C, H, W] and w [N, w_dim].

        `update_ema` first moves the running mean square of the inputs, which sets the input gain.
        """
        if update_ema:
            now = x.detach().to(torch.float32).square().mean()
            self.magnitude_ema.copy_(now + self.magnitude_ema_beta * (self.magnitude_ema - now))
        gain = self.magnitude_ema.rsqrt()
        if path == "textbook":
            return self._textbook(x, self.styles(w), gain)
        return self._fast(x, self.styles(w), gain, None if path == "auto" else path)

    def _textbook(self, x: Tensor, styles: Tensor, gain: Tensor) -> Tensor:
        y = textbook.modulated_conv2d(
            x,
            self.weight,
            styles,
            demodulate=not self.spec.is_torgb,
            padding=self.spec.conv_kernel - 1,
            input_gain=gain,
        )
        return textbook.filtered_lrelu(
            y,
            self.bias,
            self.up_filter,
            self.down_filter,
            up=self.spec.up_factor,
            down=self.spec.down_factor,
            padding=self.spec.padding,
            gain=self.gain,
            slope=self.slope,
            clamp=self.conv_clamp,
        )

    def _fast(self, x: Tensor, styles: Tensor, gain: Tensor, route: Route | None) -> Tensor:
        weight: Tensor = self.weight
        bias = self.bias[None, :, None, None]
        demodulation = None
        if not self.spec.is_torgb:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
            energy = styles.square() @ weight.square().sum(dim=(2, 3)).t()
            demodulation = (energy + 1e-8).rsqrt()
        padding = self.spec.conv_kernel - 1
        y = F.conv2d(x * (styles * gain)[:, :, None, None], weight, padding=padding)
        y = (
            y + bias
            if demodulation is None
            else torch.addcmul(bias, y, demodulation[:, :, None, None])
        )
        return self.filtered_lrelu(y, self.up_filter, self.down_filter, route)


class SynthesisNetwork(nn.Module):
    """From ws to a picture. `path` is "auto" (fast), "banded", "depthwise" or "textbook"."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        *,
        output_scale: float = 0.25,
        conv_clamp: float | None = 256.0,
        magnitude_ema_beta: float = 0.999,
        path: Path = "auto",
        **options: Any,  # noqa: ANN401  (fields of ScheduleOptions)
    ) -> None:
        super().__init__()
        self.w_dim, self.img_resolution, self.img_channels = w_dim, img_resolution, img_channels
        self.output_scale, self.path = output_scale, path
        self.options = ScheduleOptions(**options)
        self.specs = schedule(img_resolution, img_channels, self.options)
        self.num_ws = len(self.specs) + 1
        first = self.specs[0].source
        self.input = SynthesisInput(
            w_dim, first.channels, first.size, first.sampling_rate, first.cutoff
        )
        self.layer_names = [spec.name for spec in self.specs]
        for spec in self.specs:
            layer = SynthesisLayer(
                spec, w_dim, conv_clamp=conv_clamp, magnitude_ema_beta=magnitude_ema_beta
            )
            setattr(self, spec.name, layer)

    def forward(self, ws: Tensor, update_emas: bool = False) -> Tensor:
        """Return pictures [N, img_channels, R, R], float32, nominally in [-1, 1] but not clipped.

        `ws` is [N, num_ws, w_dim]: row 0 drives the input, row i + 1 drives layer i.
        """
        if ws.ndim != 3 or list(ws.shape[1:]) != [self.num_ws, self.w_dim]:
            raise ValueError(
                f"ws has shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}]"
            )
        first, *rest = ws.to(torch.float32).unbind(dim=1)
        x = self.input(first)
        for name, w in zip(self.layer_names, rest, strict=True):
            x = getattr(self, name)(x, w, self.path, update_emas)
        pictures: Tensor = (x * self.output_scale).to(torch.float32)
        return pictures


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
        **synthesis_kwargs: Any,  # noqa: ANN401  (numbers, flags and a path)
    ) -> None:
        super().__init__()
        self.init_kwargs: dict[str, Any] = {
            "z_dim": z_dim,
            "c_dim": c_dim,
            "w_dim": w_dim,
            "img_resolution": img_resolution,
            "img_channels": img_channels,
            "mapping_kwargs": dict(mapping_kwargs or {}),
            **{key: value for key, value in synthesis_kwargs.items() if key != "path"},
        }
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **(mapping_kwargs or {}))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Return pictures [N, img_channels, R, R] for z [N, z_dim] and class vectors c [N, c_dim].

        `update_emas` moves the running means (of w, of each layer's input magnitude) by this batch:
        only the training's discriminator phase asks for it.
        """
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff, update_emas)
        pictures: Tensor = self.synthesis(ws, update_emas)
        return pictures
