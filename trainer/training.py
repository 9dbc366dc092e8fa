"""A training as a value: networks, optimisers, counters, and the pictures it learns from.

Knows no losses and no files; `training_loop` moves it, `store` keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from models.precision import FAST_BFLOAT16, cpu_flags
from trainer.networks import Networks, build
from trainer.settings import Settings

Features = Callable[[torch.Tensor], Sequence[torch.Tensor]]  # [N, C, H, W] -> maps


class Pictures(Protocol):
    """What the loop needs of a data set: its name, how many, and some of them."""

    sha256: str

    def __len__(self) -> int:
        """Return how many pictures there are."""

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, 3, H, W] in [-1, 1] for int64 indices [N]."""


@dataclass
class Counters:
    """How far a run is. Together with the seed this is all of its randomness."""

    step: int = 0  # of either phase
    adversarial_step: int = 0
    images: int = 0  # real pictures the networks were trained on
    cursor: int = 0  # place in the endless row of shuffled pictures
    seconds: float = 0.0  # spent in steps, over all resumptions


@dataclass
class Training:
    """Everything that a snapshot must hold."""

    settings: Settings
    pictures: Pictures
    networks: Networks
    features: Features | None = None  # of the reconstruction's feature loss
    device: str = "cpu"
    counters: Counters = field(default_factory=Counters)
    optimisers: dict[str, torch.optim.Adam] = field(init=False)

    def __post_init__(self) -> None:
        """Move the networks to the device and give each its optimiser."""
        for network in vars(self.networks).values():
            network.to(self.device)
        self.optimisers = _optimisers(self.settings, self.networks)

    @property
    def is_warming(self) -> bool:
        """Whether the next step belongs to the warm start."""
        return self.counters.images < 1000 * self.settings.warm_start_kimg

    @property
    def precision(self) -> str:
        """What the synthesis and the discriminator compute in: "float32" or "bfloat16".

        "auto" takes bfloat16 where the device has it in hardware. Without it, it is far slower
        than float32 (70 times on an AMD EPYC with AVX2 only).
        """
        if self.settings.precision != "auto":
            return self.settings.precision
        return "bfloat16" if has_bfloat16(self.device) else "float32"


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(cpu_flags() & FAST_BFLOAT16)


def new_training(
    settings: Settings,
    pictures: Pictures,
    *,
    features: Features | None = None,
    device: str = "cpu",
) -> Training:
    """Return a training at its very beginning."""
    return Training(settings, pictures, build(settings), features=features, device=device)


def _optimisers(settings: Settings, networks: Networks) -> dict[str, torch.optim.Adam]:
    """One Adam each; the discriminator's is corrected for the extra R1 step every r steps.

    lr · r/(r+1) and betas^(r/(r+1)): Karras 2020, appendix B. The encoder is trained by
    regression alone, where momentum helps.
    """
    lazy = settings.r1_every / (settings.r1_every + 1) if settings.gamma > 0.0 else 1.0
    return {
        "generator": torch.optim.Adam(
            networks.generator.parameters(), lr=settings.generator_lr, betas=(0.0, 0.99)
        ),
        "discriminator": torch.optim.Adam(
            networks.discriminator.parameters(),
            lr=settings.discriminator_lr * lazy,
            betas=(0.0, 0.99**lazy),
        ),
        "encoder": torch.optim.Adam(
            networks.encoder.parameters(), lr=settings.encoder_lr, betas=(0.9, 0.99)
        ),
    }
