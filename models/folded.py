"""A StyleGAN3 synthesis network for showing, not training: everything constant folded once.

Input gains, weight normalisation, the energies of the demodulation and affine gains become part
of the weights. Knows no files, cards or gradients.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.stylegan3 import SynthesisInput, SynthesisLayer, SynthesisNetwork


class FoldedInput:
    """The Fourier features; sines of sums become products of one row and one column of sines."""

    def __init__(self, source: SynthesisInput) -> None:
        self.source = source
        # Turns at the rows' (or columns') positions; see textbook.synthesis_input.
        line = torch.arange(source.size, device=source.freqs.device, dtype=torch.float32)
        self.line = (line + 0.5 - source.size / 2) / source.sampling_rate
        self.mix = (source.weight / math.sqrt(source.channels)).t().contiguous()

    def __call__(self, w: Tensor) -> Tensor:
        """Return features [N, C, size, size], channels last in memory, for w [N, w_dim]."""
        source, matrix = self.source, self.source.matrix(w)
        phases = source.phases + (source.freqs @ matrix[:, :2, 2:]).squeeze(2)
        freqs = source.freqs @ matrix[:, :2, :2]
        excess = freqs.norm(dim=2) - source.bandwidth
        amplitudes = (1 - excess / (source.sampling_rate / 2 - source.bandwidth)).clamp(0, 1)
        # sin(a + b) = sin a · cos b + cos a · sin b: 2·(H + W) sines a channel instead of H·W.
        along_x = torch.addcmul(phases[:, None], self.line[:, None], freqs[:, None, :, 0])
        along_y = self.line[:, None] * freqs[:, None, :, 1]
        a, b = along_x * (2 * math.pi), along_y * (2 * math.pi)
        sin_a, cos_a = a.sin() * amplitudes[:, None], a.cos() * amplitudes[:, None]
        features = sin_a[:, None] * b.cos()[:, :, None]
        features.addcmul_(cos_a[:, None], b.sin()[:, :, None])
        mixed: Tensor = features @ self.mix
        return mixed.permute(0, 3, 1, 2)


class FoldedLayer:
    """One synthesis layer with its constants made."""

    def __init__(self, source: SynthesisLayer, dtype: torch.dtype) -> None:
        spec = source.spec
        self.dtype, self.padding = dtype, spec.conv_kernel - 1
        self.demodulate = not spec.is_torgb
        affine_gain = source.affine.weight_gain
        if spec.is_torgb:
            affine_gain /= math.sqrt(spec.source.channels * spec.conv_kernel**2)
        bias = source.affine.effective_bias()
        if bias is None:
            raise ValueError(f"{spec.name}.affine has no bias; expected one")
        self.affine_weight = source.affine.weight * affine_gain
        self.affine_bias = bias * (affine_gain / source.affine.weight_gain)
        weight: Tensor = source.weight
        if self.demodulate:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        self.energy = weight.square().sum(dim=(2, 3)).t().contiguous()
        weight = weight * source.magnitude_ema.rsqrt()
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = source.bias.clone()
        self.filter = source.filtered_lrelu
        self.filters = source.up_filter, source.down_filter

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the layer's output for x [N, C, H, W] and w [N, w_dim]."""
        y = self.convolve(x, w)
        return self.filter(y, *self.filters)

    def convolve(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the modulated convolution with its bias added."""
        styles = F.linear(w, self.affine_weight, self.affine_bias)
        demodulation = None
        if self.demodulate:
            styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
            demodulation = (styles.square() @ self.energy + 1e-8).rsqrt()
        x = x.to(self.dtype)
        if len(x) == 1:
            return self._convolve_one(x, styles, demodulation)
        y = F.conv2d(
            x * styles.to(self.dtype)[:, :, None, None],
            self.weight.to(self.dtype),
            padding=self.padding,
        )
        bias = self.bias.to(self.dtype)[None, :, None, None]
        if demodulation is None:
            return y + bias
        return torch.addcmul(bias, y, demodulation.to(self.dtype)[:, :, None, None])

    def _convolve_one(self, x: Tensor, styles: Tensor, demodulation: Tensor | None) -> Tensor:
        """Modulate the small weight instead of the large picture: a batch of one has one bank."""
        weight = self.weight * styles[0][:, None, None]
        if demodulation is not None:
            weight = weight * demodulation[0][:, None, None, None]
        return F.conv2d(x, weight.to(self.dtype), self.bias.to(self.dtype), padding=self.padding)


class FoldedSynthesis:
    """From ws to pictures, as `SynthesisNetwork` in evaluation, to rounding.

    Later changes of the network's weights don't reach it. `reduced` is the number type of the
    layers that tolerate half precision.
    """

    def __init__(self, network: SynthesisNetwork, reduced: torch.dtype = torch.float32) -> None:
        self.num_ws = network.num_ws
        self.shape = network.img_channels, network.img_resolution, network.img_resolution
        with torch.inference_mode():
            self.input = FoldedInput(network.input)
            self.layers = []
            for spec in network.specs:
                dtype = reduced if spec.use_fp16 else torch.float32
                self.layers.append(FoldedLayer(getattr(network, spec.name), dtype))
        self.output_scale = network.output_scale

    def __call__(self, ws: Tensor, out: Tensor | None = None) -> Tensor:
        """Return pictures [N, C, R, R] for ws [N, num_ws, w_dim], written into `out`."""
        first, *rest = ws.to(torch.float32).unbind(dim=1)
        x = self.input(first)
        for layer, w in zip(self.layers, rest, strict=True):
            x = layer(x, w)
        if out is None:
            out = torch.empty(len(ws), *self.shape, device=x.device)
        # The last operation: it scales, converts and lays the picture out where it belongs.
        return torch.mul(x, self.output_scale, out=out)
