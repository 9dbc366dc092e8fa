"""The four networks of a run, and the average of its generator.

Knows how to build and average them; knows no loss, no data and no files.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from models.discriminator import Discriminator
from models.stylegan3 import Generator
from trainer.encoder import Encoder
from trainer.sampling import source
from trainer.settings import Architecture, Settings

CHANNELS = 3


@dataclass(frozen=True)
class Networks:
    """What a run trains, and `average`: the generator that is shown and published."""

    generator: Generator
    average: Generator
    discriminator: Discriminator
    encoder: Encoder


def generator_arguments(shape: Architecture, batch: int) -> dict[str, object]:
    """Return the keywords of `Generator`, as they are written into a card too.

    The magnitudes' decay is 0.5^(batch/2000), ten times the recipe's pace: this model trains
    for tens of thousands of images, not for tens of millions.
    """
    return {
        "z_dim": shape.z_dim,
        "c_dim": 0,
        "w_dim": shape.w_dim,
        "img_resolution": shape.resolution,
        "img_channels": CHANNELS,
        "mapping_kwargs": {"num_layers": shape.mapping_layers},
        "channel_base": shape.channel_base,
        "channel_max": shape.channel_max,
        "num_layers": shape.num_layers,
        "num_critical": shape.num_critical,
        "margin_size": shape.margin_size,
        "last_stopband_rel": shape.last_stopband_rel,
        "conv_clamp": None,  # a guard for float16; four passes over the largest tensors here
        "magnitude_ema_beta": 0.5 ** (batch / 2000),
    }


def build(settings: Settings) -> Networks:
    """Return freshly drawn networks; the same settings give the same numbers."""
    shape = settings.architecture
    seed = source(settings.seed, "init", 0).initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(**generator_arguments(shape, settings.batch))  # type: ignore[arg-type]
        discriminator = Discriminator(
            c_dim=0,
            img_resolution=shape.resolution,
            img_channels=CHANNELS,
            channel_base=shape.discriminator_channel_base,
            channel_max=shape.discriminator_channel_max,
            conv_clamp=None,
        )
        encoder = Encoder(shape.resolution, CHANNELS, shape.z_dim, shape.encoder_width)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    return Networks(generator, average, discriminator, encoder)


@torch.no_grad()
def move_average(average: nn.Module, live: nn.Module, beta: float) -> None:
    """Let parameters of `average` become β·average + (1 − β)·live, and copy the buffers."""
    for slow, fast in zip(average.parameters(), live.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - beta)
    for kept, now in zip(average.buffers(), live.buffers(), strict=True):
        kept.copy_(now)


def average_decay(batch: int, half_life: float, images: int, ramp: float) -> float:
    """Return β = 0.5^(batch / n), n = min(half_life, ramp · images) images."""
    return float(0.5 ** (batch / max(min(half_life, ramp * images), 1e-8)))
