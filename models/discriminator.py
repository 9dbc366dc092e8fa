"""StyleGAN2's residual discriminator, plain or conditional; knows nothing of losses or data.

Formulas: Karras et al. 2020 ("Analyzing and Improving the Image Quality of StyleGAN"), and the
projection onto a mapped class of StyleGAN2-ADA. Twice differentiable, as R1 needs. State-dict names
and shapes are those of published snapshots.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.equalised import LRELU_SLOPE, SQRT2, FullyConnected, MappingNetwork


def _blur_filter() -> Tensor:
    """The binomial low-pass [1, 3, 3, 1] as a 2-D filter [4, 4] of sum one."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return line.outer(line) / 64


def _blur(x: Tensor, fir: Tensor, pad: int, stride: int) -> Tensor:
    """Zero-pad `x` [N, C, H, W] by `pad` on all sides, filter, keep every stride-th sample.

    Depthwise and channels last: one core, batch 8 at 64 px, forward and backward of the whole
    network 60 ms, R1 170; as N·C pictures of one channel 175 and 334; two 1-D filters 60 and 260;
    three sums of neighbours an axis 65 and 149.
    """
    bank = fir.to(x.dtype).expand(x.shape[1], 1, *fir.shape)
    return F.conv2d(x, bank, padding=pad, stride=stride, groups=x.shape[1])


class ConvLayer(nn.Module):
    """An equalised convolution, optionally halving the picture, with leaky ReLU or nothing."""

    bias: Tensor | None
    weight: Tensor
    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        bias: bool = True,
        activation: str = "lrelu",
        down: int = 1,
        conv_clamp: float | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.activation, self.down = kernel, activation, down
        self.conv_clamp = conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)
        self._hold("weight", torch.randn(out_channels, in_channels, kernel, kernel), trainable)
        if bias:
            self._hold("bias", torch.zeros(out_channels), trainable)
        else:
            self.bias = None
        self.register_buffer("resample_filter", _blur_filter())

    def _hold(self, name: str, value: Tensor, trainable: bool) -> None:
        """Register as a parameter, or as a buffer of the same name where frozen."""
        if trainable:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Map `x` [N, in, H, W] to [N, out, H/down, W/down], scaled by `gain`."""
        weight = self.weight * self.weight_gain
        if self.down == 1:
            y = F.conv2d(x, weight, padding=self.kernel // 2)
        elif self.kernel == 1:
            y = F.conv2d(_blur(x, self.resample_filter, 1, self.down), weight)
        else:
            pad = self.kernel // 2 + 1
            y = F.conv2d(_blur(x, self.resample_filter, pad, 1), weight, stride=self.down)
        if self.bias is not None:
            y = y + self.bias.reshape(1, -1, 1, 1)
        if self.activation == "linear":
            y = y * gain
        else:
            y = F.leaky_relu(y, LRELU_SLOPE) * (SQRT2 * gain)
        return (
            y
            if self.conv_clamp is None
            else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)
        )


class Block(nn.Module):
    """One residual block, halving the picture: (conv1(conv0(x)) + skip(x)) with gains √½."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        img_channels: int,
        *,
        conv_clamp: float | None,
        first_layer_idx: int,
        freeze_layers: int,
    ) -> None:
        super().__init__()
        self.first_layer_idx = self.num_layers = 0
        self.in_channels, self.first_layer_idx = in_channels, first_layer_idx
        self.register_buffer("resample_filter", _blur_filter())

        def trainable() -> bool:
            self.num_layers += 1
            return first_layer_idx + self.num_layers > freeze_layers

        if in_channels == 0:
            self.fromrgb = ConvLayer(
                img_channels, tmp_channels, 1, conv_clamp=conv_clamp, trainable=trainable()
            )
        self.conv0 = ConvLayer(
            tmp_channels, tmp_channels, 3, conv_clamp=conv_clamp, trainable=trainable()
        )
        self.conv1 = ConvLayer(
            tmp_channels, out_channels, 3, down=2, conv_clamp=conv_clamp, trainable=trainable()
        )
        self.skip = ConvLayer(
            tmp_channels, out_channels, 1, bias=False, activation="linear", down=2,
            trainable=trainable(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (first block) or features [N, C, H, W] to [N, C', H/2, W/2]."""
        if self.in_channels == 0:
            x = self.fromrgb(x)
        shortcut: Tensor = self.skip(x, gain=math.sqrt(0.5))
        halved: Tensor = self.conv1(self.conv0(x), gain=math.sqrt(0.5))
        return halved + shortcut


def minibatch_stddev(x: Tensor, group_size: int | None, channels: int = 1) -> Tensor:
    """Append `channels` maps to `x` [N, C, H, W]: how much the samples of a group differ.

    Sample n belongs to group n mod (N / G) (Karras 2018, §3). N must be divisible by G.
    """
    batch, width, height, length = x.shape
    group = batch if group_size is None else min(group_size, batch)
    if batch % group:
        raise ValueError(f"batch of {batch} is not divisible by the stddev group size {group}")
    y = x.reshape(group, -1, channels, width // channels, height, length)
    deviation = ((y - y.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()
    statistic = deviation.mean(dim=(2, 3, 4)).reshape(-1, channels, 1, 1)
    return torch.cat([x, statistic.repeat(group, 1, height, length)], dim=1)


class Epilogue(nn.Module):
    """From 4×4 features to one logit per picture."""

    def __init__(
        self,
        in_channels: int,
        cmap_dim: int,
        *,
        conv_clamp: float | None,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
    ) -> None:
        super().__init__()
        self.cmap_dim = cmap_dim
        self.mbstd_group_size, self.mbstd_num_channels = mbstd_group_size, mbstd_num_channels
        self.conv = ConvLayer(
            in_channels + mbstd_num_channels, in_channels, 3, conv_clamp=conv_clamp
        )
        self.fc = FullyConnected(in_channels * 16, in_channels, activation="lrelu")
        self.out = FullyConnected(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        """Return logits [N, 1] for features [N, C, 4, 4] and mapped classes [N, cmap_dim]."""
        x = x.to(self.out.weight.dtype)
        if self.mbstd_num_channels > 0:
            x = minibatch_stddev(x, self.mbstd_group_size, self.mbstd_num_channels)
        y: Tensor = self.out(self.fc(self.conv(x).flatten(1)))
        if cmap is not None:
            y = (y * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return y


class Discriminator(nn.Module):
    """Pictures (and classes) to logits. Only the residual architecture is built.

    `block_kwargs` may hold `freeze_layers`, `epilogue_kwargs` `mbstd_group_size` and
    `mbstd_num_channels`, `mapping_kwargs` what MappingNetwork takes (8 layers by default).
    """

    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        architecture: str = "resnet",
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 4,
        conv_clamp: float | None = 256.0,
        cmap_dim: int | None = None,
        block_kwargs: dict[str, Any] | None = None,
        mapping_kwargs: dict[str, Any] | None = None,
        epilogue_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.init_kwargs: dict[str, Any] = {
            "c_dim": c_dim, "img_resolution": img_resolution, "img_channels": img_channels,
            "architecture": architecture, "channel_base": channel_base, "channel_max": channel_max,
            "num_fp16_res": num_fp16_res, "conv_clamp": conv_clamp, "cmap_dim": cmap_dim,
            "block_kwargs": dict(block_kwargs or {}), "mapping_kwargs": dict(mapping_kwargs or {}),
            "epilogue_kwargs": dict(epilogue_kwargs or {}),
        }  # fmt: skip
        if architecture != "resnet":
            raise ValueError(f"architecture is {architecture!r}; only 'resnet' is built here")
        if img_resolution < 8 or img_resolution & (img_resolution - 1):
            raise ValueError(
                f"img_resolution is {img_resolution}; expected a power of two, at least 8"
            )
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        channels = {
            res: min(channel_base // res, channel_max)
            for res in (2**power for power in range(2, img_resolution.bit_length()))
        }
        freeze_layers = (block_kwargs or {}).get("freeze_layers", 0)
        self.block_resolutions = sorted((res for res in channels if res > 4), reverse=True)
        made = 0
        for res in self.block_resolutions:
            block = Block(
                channels[res] if res < img_resolution else 0, channels[res], channels[res // 2],
                img_channels, conv_clamp=conv_clamp, first_layer_idx=made,
                freeze_layers=freeze_layers,
            )  # fmt: skip
            setattr(self, f"b{res}", block)
            made += block.num_layers
        cmap = 0 if c_dim == 0 else channels[4] if cmap_dim is None else cmap_dim
        if c_dim > 0:
            options = {"num_layers": 8, **(mapping_kwargs or {})}
            self.mapping: MappingNetwork | None = MappingNetwork(0, c_dim, cmap, None, **options)
        else:
            self.mapping = None
        self.b4 = Epilogue(channels[4], cmap, conv_clamp=conv_clamp, **(epilogue_kwargs or {}))

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Return logits [N, 1] for pictures [N, C, R, R] and class vectors [N, c_dim]."""
        x = img.contiguous(memory_format=torch.channels_last)
        for res in self.block_resolutions:
            x = getattr(self, f"b{res}")(x)
        cmap = None if self.mapping is None else self.mapping(None, c)
        logits: Tensor = self.b4(x, cmap)
        return logits
