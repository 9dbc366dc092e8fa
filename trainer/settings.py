"""What one training run is: its networks, its losses and its pace, frozen when the run is made.

Knows no torch, no files and no data: values, their ranges, and what may change on the way.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Weight = Annotated[float, Field(ge=0.0, le=1000.0)]

# What a resumed run may change when it goes on as a new run; all else is settled at birth.
ADJUSTABLE = (
    "batch",
    "micro_batch",
    "share_fakes",
    "precision",
    "warm_start_kimg",
    "reconstruction_weight",
    "reconstruction_share",
    "feature_weight",
    "pull_weight",
    "pull_codes",
    "gamma",
    "generator_lr",
    "generator_ramp_steps",
    "discriminator_lr",
    "encoder_lr",
    "ema_kimg",
)


class Architecture(BaseModel):
    """Shapes of the networks. The defaults are the bundled 64 px model.

    Six layers, of which only two work at the full rate: a slightly lower last stopband
    (2^0.2 for 2^0.3) moves one layer from 64 to 32 samples a side. The generator's share of a
    training step is what these numbers were chosen by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: int = Field(default=64, ge=8, le=1024)
    z_dim: int = Field(default=64, ge=2, le=1024)
    w_dim: int = Field(default=64, ge=2, le=1024)
    mapping_layers: int = Field(default=2, ge=1, le=16)
    num_layers: int = Field(default=6, ge=2, le=32)
    num_critical: int = Field(default=1, ge=0, le=8)
    margin_size: int = Field(default=4, ge=0, le=32)
    last_stopband_rel: float = Field(default=2**0.2, gt=1.0, le=4.0)
    channel_base: int = Field(default=1280, ge=8)
    channel_max: int = Field(default=64, ge=4)
    discriminator_channel_base: int = Field(default=768, ge=8)
    discriminator_channel_max: int = Field(default=80, ge=4)
    encoder_width: int = Field(default=48, ge=4, le=256, multiple_of=4)


class Settings(BaseModel):
    """How a run trains. Rates and weights as in StyleGAN3's recipe except where said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture = Architecture()
    seed: int = Field(default=0, ge=0, lt=2**31)
    batch: int = Field(default=16, ge=1, le=1024)
    micro_batch: int | None = Field(default=None, ge=1)  # None: the whole batch at once
    share_fakes: bool = True  # one generator forward serves the D phase, then the G phase
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    warm_start_kimg: float = Field(default=0.0, ge=0.0)
    reconstruction_weight: Weight = 1.0  # in the adversarial phase; 1 in the warm start
    reconstruction_share: float = Field(default=0.25, ge=0.0, le=1.0)  # of the batch
    feature_weight: Weight = 0.0  # of the lite0 endpoints in the reconstruction
    pull_weight: Weight = 3.0  # of the codes towards the prior; 0.1 left random latents noise
    pull_codes: int = Field(default=192, ge=2)  # 16 codes were too few
    pull_directions: int = Field(default=256, ge=1)

    gamma: float = Field(default=1.0, ge=0.0)  # of R1
    r1_every: int = Field(default=8, ge=1)  # steps
    discriminator_alone_steps: int = Field(default=20, ge=0)
    generator_lr: float = Field(default=0.0025, gt=0.0)
    generator_ramp_steps: int = Field(default=200, ge=0)  # of its adversarial phase; see loop
    discriminator_lr: float = Field(default=0.002, gt=0.0)
    encoder_lr: float = Field(default=0.001, gt=0.0)
    ema_kimg: float | None = Field(default=None, gt=0.0)  # half-life; None: batch · 10/32
    ema_ramp: float = Field(default=0.05, gt=0.0)

    @property
    def rounds(self) -> int:
        """Micro-batches in a batch."""
        return self.batch // (self.micro_batch or self.batch)

    @property
    def ema_half_life(self) -> float:
        """Images after which half of the averaged generator is new."""
        return 1000.0 * (self.ema_kimg or self.batch * 10 / 32)

    @model_validator(mode="after")
    def _batches_divide(self) -> Settings:
        if self.batch % (self.micro_batch or self.batch):
            raise ValueError(
                f"micro_batch {self.micro_batch} does not divide batch {self.batch}; "
                "choose a divisor"
            )
        group = min(4, self.micro_batch or self.batch)
        if (self.micro_batch or self.batch) % group:
            raise ValueError(
                f"the discriminator compares pictures in groups of {group}; "
                f"a micro-batch of {self.micro_batch or self.batch} is no multiple of it"
            )
        return self


def adjusted(settings: Settings, changes: dict[str, object]) -> Settings:
    """Return `settings` with `changes`; raise ValueError for what a resumed run may not change."""
    refused = sorted(set(changes) - set(ADJUSTABLE))
    if refused:
        raise ValueError(
            f"a resumed run cannot change {', '.join(refused)}; it may change "
            f"{', '.join(ADJUSTABLE)}; start a new run for anything else"
        )
    return Settings.model_validate({**settings.model_dump(), **changes})


def one_line(error: Exception) -> str:
    """Return an error as one line; of refused settings each name, what is wrong, what was found."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
        + (f" (found {problem['input']!r})" if problem["loc"] else "")
        for problem in error.errors(include_url=False)
    )
