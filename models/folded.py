"""A StyleGAN3 synthesis network for showing, not training: everything constant folded once.

Input gains, weight normalisation, the energies of the demodulation and affine gains become part of
the weights; styles and demodulation of all layers come from four products. Channels are padded
with silent ones to multiples of eight, which vectors hold: 64 multiply faster than 61 (conv 5.6 to
6.0 ms at 40², filters 15 %). Knows no files, cards or gradients.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.stylegan3 import SynthesisInput, SynthesisLayer, SynthesisNetwork

VECTOR = 8  # float32 lanes of AVX2; also what tensor cores want of float16


def _padded(channels: int) -> int:
    return -(-channels // VECTOR) * VECTOR


class FoldedInput:
    """The Fourier features, with few operations: alone they took as long as a layer.

    Frequencies and phases as seen through the transform are linear in (cos, sin, shift x, shift y);
    sines of sums become products of one row and one column of sines.
    """

    def __init__(self, source: SynthesisInput) -> None:
        self.size, self.bandwidth = source.size, source.bandwidth
        self.nyquist = source.sampling_rate / 2
        bias = source.affine.bias
        if bias is None:
            raise ValueError("input.affine has no bias; expected one")
        self.affine_weight = source.affine.weight * source.affine.weight_gain
        self.affine_bias = bias.clone()
        self.basis = self._basis(source)
        self.offset = torch.zeros(3, source.channels, device=bias.device)
        self.offset[2] = source.phases
        line = torch.arange(source.size, device=bias.device, dtype=torch.float32)
        self.line = ((line + 0.5 - source.size / 2) / source.sampling_rate)[:, None]
        mix = (source.weight / math.sqrt(source.channels)).t()
        self.mix = F.pad(mix, [0, _padded(source.channels) - source.channels]).contiguous()

    @staticmethod
    def _basis(source: SynthesisInput) -> Tensor:
        """Return [4, 3·C]: what cos, sin and both shifts add to frequencies (x, y) and phases."""
        matrices = torch.zeros(4, 2, 3, device=source.freqs.device)
        matrices[0, 0, 0] = matrices[0, 1, 1] = matrices[1, 1, 0] = 1
        matrices[1, 0, 1] = -1
        matrices[2, 0, 2] = matrices[3, 1, 2] = 1
        seen = source.freqs @ (matrices @ source.transform)  # [4, C, 3]
        return seen.transpose(1, 2).reshape(4, -1)

    def __call__(self, w: Tensor) -> Tensor:
        """Return features [N, padded C, size, size], channels last in memory, for w [N, w_dim]."""
        t = F.linear(w, self.affine_weight, self.affine_bias)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        cos, sin, x, y = t.split(1, dim=1)
        parts = torch.cat([cos, sin, sin * y - cos * x, -sin * x - cos * y], dim=1)
        seen = (parts @ self.basis).reshape(len(w), 3, -1) + self.offset
        freqs, phases = seen[:, :2], seen[:, 2:]
        excess = (freqs.norm(dim=1) - self.bandwidth) / (self.nyquist - self.bandwidth)
        amplitudes = (1 - excess).clamp_(0, 1)
        # sin(a + b) = sin a · cos b + cos a · sin b: 2·(H + W) sines a channel instead of H·W.
        turns = self.line * freqs[:, :, None]  # [N, 2, size, C]
        turns[:, 0] += phases
        turns *= 2 * math.pi
        (sin_a, sin_b), (cos_a, cos_b) = turns.sin().unbind(1), turns.cos().unbind(1)
        sin_b, cos_b = sin_b * amplitudes[:, None], cos_b * amplitudes[:, None]
        features = sin_a[:, None] * cos_b[:, :, None]
        features.addcmul_(cos_a[:, None], sin_b[:, :, None])
        mixed: Tensor = features @ self.mix
        return mixed.permute(0, 3, 1, 2)


class FoldedLayer:
    """One synthesis layer with its constants made and its channels padded."""

    def __init__(self, source: SynthesisLayer, dtype: torch.dtype) -> None:
        spec = source.spec
        self.dtype, self.padding = dtype, spec.conv_kernel - 1
        self.demodulate = not spec.is_torgb
        inside = _padded(spec.source.channels) - spec.source.channels
        outside = 0
        if self.demodulate:
            outside = _padded(spec.target.channels) - spec.target.channels
        gain = source.affine.weight_gain
        if spec.is_torgb:
            gain /= math.sqrt(spec.source.channels * spec.conv_kernel**2)
        bias = source.affine.bias
        if bias is None:
            raise ValueError(f"{spec.name}.affine has no bias; expected one")
        self.affine_weight = F.pad(source.affine.weight * gain, [0, 0, 0, inside])
        self.affine_bias = F.pad(bias * (gain / source.affine.weight_gain), [0, inside])
        weight: Tensor = source.weight
        if self.demodulate:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        self.in_channels = spec.source.channels
        self.energy = F.pad(weight.square().sum(dim=(2, 3)).t(), [0, outside, 0, inside])
        weight = F.pad(weight * source.magnitude_ema.rsqrt(), [0, 0, 0, 0, 0, inside, 0, outside])
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = F.pad(source.bias, [0, outside]).to(dtype)
        self.filter = source.filtered_lrelu
        self.filters = source.up_filter, source.down_filter

    def __call__(self, x: Tensor, styles: Tensor, demodulation: Tensor | None) -> Tensor:
        """Return the layer's output for x [N, C, H, W] and its styles [N, C]."""
        x = x.to(self.dtype)
        if demodulation is None:
            y = self._mix(x, styles)
        elif len(x) == 1:
            y = self._convolve_one(x, styles[0], demodulation)
        else:
            y = self._convolve_many(x, styles, demodulation)
        return self.filter(y, *self.filters)

    def _mix(self, x: Tensor, styles: Tensor) -> Tensor:
        """ToRGB's 1×1 convolution as a product, which leaves whole planes behind."""
        weight = (self.weight[:, :, 0, 0] * styles[:, None]).to(self.dtype)
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
        y = torch.baddbmm(self.bias[:, None], weight, pixels.transpose(1, 2))
        return y.reshape(batch, -1, height, width)

    def _convolve_one(self, x: Tensor, styles: Tensor, demodulation: Tensor) -> Tensor:
        """Modulate the small weight instead of the large picture: a batch of one has one bank."""
        scale = demodulation[0][:, None] * styles
        weight = (self.weight * scale[:, :, None, None]).to(self.dtype)
        return F.conv2d(x, weight, self.bias, padding=self.padding)

    def _convolve_many(self, x: Tensor, styles: Tensor, demodulation: Tensor) -> Tensor:
        x = x * styles.to(self.dtype)[:, :, None, None]
        y = F.conv2d(x, self.weight.to(self.dtype), padding=self.padding)
        bias = self.bias[None, :, None, None]
        return torch.addcmul(bias, y, demodulation.to(self.dtype)[:, :, None, None])


class FoldedStyles:
    """Styles and demodulation of all demodulating layers at once, from stacked, padded weights."""

    def __init__(self, layers: list[FoldedLayer]) -> None:
        self.widths = [layer.weight.shape[:2] for layer in layers]
        outs, ins = (max(width[axis] for width in self.widths) for axis in (0, 1))
        device = layers[0].weight.device
        counts = [float(layer.in_channels) for layer in layers]
        self.counts = torch.tensor(counts, device=device)[:, None, None]
        self.bias = torch.stack(
            [F.pad(layer.affine_bias, [0, ins - len(layer.affine_bias)]) for layer in layers]
        )[:, None]
        self.weight = torch.stack(
            [F.pad(layer.affine_weight.t(), [0, ins - len(layer.affine_bias)]) for layer in layers]
        )
        self.energy = torch.stack(
            [
                F.pad(
                    layer.energy,
                    [0, outs - layer.energy.shape[1], 0, ins - layer.energy.shape[0]],
                )
                for layer in layers
            ]
        )

    def __call__(self, ws: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's (styles [N, in], demodulation [N, out]) for ws [N, layers, w_dim]."""
        styles = torch.baddbmm(self.bias, ws.transpose(0, 1), self.weight)
        squares = styles.square()
        scale = self.counts / squares.sum(dim=2, keepdim=True)
        demodulation = torch.baddbmm(
            self.energy.new_full((1, 1, 1), 1e-8), squares * scale, self.energy
        ).rsqrt()
        styles = styles * scale.sqrt()
        return [
            (styles[i, :, :inside], demodulation[i, :, :outside])
            for i, (outside, inside) in enumerate(self.widths)
        ]


class FoldedSynthesis:
    """From ws to pictures, as `SynthesisNetwork` in evaluation, to rounding.

    Later changes of the network's weights don't reach it. `reduced` is the number type of the
    layers that tolerate half precision.
    """

    def __init__(self, network: SynthesisNetwork, reduced: torch.dtype = torch.float32) -> None:
        self.num_ws, self.output_scale = network.num_ws, network.output_scale
        self.shape = network.img_channels, network.img_resolution, network.img_resolution
        with torch.inference_mode():
            self.input = FoldedInput(network.input)
            *layers, self.to_rgb = [
                FoldedLayer(
                    getattr(network, spec.name), reduced if spec.use_fp16 else torch.float32
                )
                for spec in network.specs
            ]
            self.styles = FoldedStyles(layers)
            self.layers = layers

    def __call__(self, ws: Tensor, out: Tensor | None = None) -> Tensor:
        """Return pictures [N, C, R, R] for ws [N, num_ws, w_dim], written into `out`."""
        ws = ws.to(torch.float32)
        x = self.input(ws[:, 0])
        for layer, (styles, demodulation) in zip(
            self.layers, self.styles(ws[:, 1:-1]), strict=True
        ):
            x = layer(x, styles, demodulation)
        last = self.to_rgb
        x = last(x, F.linear(ws[:, -1], last.affine_weight, last.affine_bias), None)
        if out is None:
            out = torch.empty(len(ws), *self.shape, device=x.device)
        # The last operation: it scales, converts and lays the picture out where it belongs.
        return torch.mul(x, self.output_scale, out=out)
