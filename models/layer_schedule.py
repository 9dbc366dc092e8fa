"""The alias-free layer schedule of StyleGAN3 as values; arithmetic only, no network, no torch.

Every layer has a sampling rate, a cutoff and a transition band (Karras 2021, §3.2 and appendix C);
names of the fields are those found as attributes in published snapshots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """What one layer hands to the next: width in samples, rates and frequencies per picture."""

    channels: int
    size: int
    sampling_rate: int
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class LayerSpec:
    """One synthesis layer: what goes in, what comes out, and the geometry of its filters."""

    index: int
    source: Band
    target: Band
    is_torgb: bool
    is_critically_sampled: bool
    use_fp16: bool
    conv_kernel: int
    filter_size: int
    lrelu_upsampling: int
    down_radial: bool

    @property
    def name(self) -> str:
        """The submodule's name, e.g. L3_52_512: part of every key of a state dict."""
        return f"L{self.index}_{self.target.size}_{self.target.channels}"

    @property
    def tmp_sampling_rate(self) -> int:
        """The rate at which the non-linearity is applied."""
        oversampling = 1 if self.is_torgb else self.lrelu_upsampling
        return max(self.source.sampling_rate, self.target.sampling_rate) * oversampling

    @property
    def up_factor(self) -> int:
        """Samples of the oversampled grid per input sample."""
        return self.tmp_sampling_rate // self.source.sampling_rate

    @property
    def down_factor(self) -> int:
        """Samples of the oversampled grid per output sample."""
        return self.tmp_sampling_rate // self.target.sampling_rate

    @property
    def up_taps(self) -> int:
        """Length of the up filter; one means none."""
        return self._taps(self.up_factor)

    @property
    def down_taps(self) -> int:
        """Length of the down filter; one means none."""
        return self._taps(self.down_factor)

    def _taps(self, factor: int) -> int:
        return self.filter_size * factor if factor > 1 and not self.is_torgb else 1

    @property
    def padding(self) -> tuple[int, int]:
        """Samples added before and after on the oversampled grid; negative crops."""
        grown = self.source.size + self.conv_kernel - 1
        total = (self.target.size - 1) * self.down_factor + 1 - grown * self.up_factor
        total += self.up_taps + self.down_taps - 2
        low = (total + self.up_factor) // 2
        return low, total - low


@dataclass(frozen=True)
class ScheduleOptions:
    """The synthesis arguments that shape the schedule; defaults are config T's."""

    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    num_fp16_res: int = 4
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False


def schedule(resolution: int, img_channels: int, options: ScheduleOptions) -> tuple[LayerSpec, ...]:
    """Return the num_layers + 1 layers, ToRGB last, of a network for square pictures."""
    _check(resolution, options)
    bands = _bands(resolution, img_channels, options)
    last = options.num_layers
    layers = []
    for index, target in enumerate(bands):
        critical = index >= last - options.num_critical
        layers.append(
            LayerSpec(
                index=index,
                source=bands[max(index - 1, 0)],
                target=target,
                is_torgb=index == last,
                is_critically_sampled=critical,
                use_fp16=target.sampling_rate * 2**options.num_fp16_res > resolution,
                conv_kernel=1 if index == last else options.conv_kernel,
                filter_size=options.filter_size,
                lrelu_upsampling=options.lrelu_upsampling,
                down_radial=options.use_radial_filters and not critical,
            )
        )
    return tuple(layers)


def _check(resolution: int, options: ScheduleOptions) -> None:
    if resolution < 4 or resolution & (resolution - 1):
        raise ValueError(f"img_resolution is {resolution}; expected a power of two, at least 4")
    if not 0 <= options.num_critical < options.num_layers:
        raise ValueError(
            f"num_critical is {options.num_critical}; expected 0 to num_layers - 1 "
            f"({options.num_layers - 1})"
        )


def _bands(resolution: int, img_channels: int, options: ScheduleOptions) -> list[Band]:
    last = options.num_layers
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * options.last_stopband_rel
    bands = []
    for index in range(last + 1):
        along = min(index / (last - options.num_critical), 1)
        cutoff = options.first_cutoff * (last_cutoff / options.first_cutoff) ** along
        stopband = options.first_stopband * (last_stopband / options.first_stopband) ** along
        rate = 2 ** math.ceil(math.log2(min(stopband * 2, resolution)))
        channels = round(min(options.channel_base / 2 / cutoff, options.channel_max))
        bands.append(
            Band(
                channels=img_channels if index == last else channels,
                size=resolution if index >= last - 1 else rate + 2 * options.margin_size,
                sampling_rate=rate,
                cutoff=cutoff,
                half_width=max(stopband, rate / 2) - cutoff,
            )
        )
    return bands
