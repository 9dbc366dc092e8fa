"""One step of training after another: warm start by reconstruction, then adversarial phases.

Owns networks, optimisers and counters; knows no files, no signals, no clock and no command line.

Shape letters: N pictures, C channels, H and W pixels, Z latent width, K codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from trainer import loss
from trainer.encoder import onto_sphere
from trainer.networks import Networks, average_decay, build, move_average
from trainer.sampling import Stream, normal, pictures_at
from trainer.settings import Settings

Losses = dict[str, float]
Features = Callable[[torch.Tensor], Sequence[torch.Tensor]]


class Pictures(Protocol):
    """What the loop needs of a data set: how many, and some of them as float32 [-1, 1]."""

    sha256: str

    def __len__(self) -> int:
        """Return how many pictures there are."""

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Return [N, 3, H, W] for int64 indices [N]."""


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer a finite number."""


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
    """Everything that a snapshot must hold, and `step`, the only way it moves."""

    settings: Settings
    pictures: Pictures
    networks: Networks
    features: Features | None = None
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

    def step(self) -> Losses:
        """Train on one batch; return the losses. Raises TrainingDiverged on NaN or infinity."""
        losses = warm_step(self) if self.is_warming else adversarial_step(self)
        counters, settings = self.counters, self.settings
        counters.images += settings.batch
        counters.cursor += settings.batch
        counters.step += 1
        beta = average_decay(
            settings.batch, settings.ema_half_life, counters.images, settings.ema_ramp
        )
        move_average(self.networks.average, self.networks.generator, beta)
        return losses


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

    lr · r/(r+1) and betas^(r/(r+1)): Karras 2020, appendix B.
    """
    lazy = settings.r1_every / (settings.r1_every + 1)
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


# ---- the warm start -------------------------------------------------------------------------


def warm_step(training: Training) -> Losses:
    """Reconstruct a batch through encoder and generator, pulling the codes to the prior."""
    settings, counters = training.settings, training.counters
    generator = training.networks.generator.requires_grad_(True)
    _set_momentum(training.optimisers["generator"], 0.9)  # plain regression: momentum helps
    reals_NCHW = _reals(training)
    losses: Losses = {}
    for part_NCHW in reals_NCHW.chunk(settings.rounds):
        codes_NZ = training.networks.encoder(part_NCHW)
        pictures_NCHW = generator(codes_NZ, update_emas=True)
        share = 1.0 / settings.rounds
        _reconstruction(training, pictures_NCHW, part_NCHW, losses, share).backward()
    _pull(training, reals_NCHW, losses).backward()
    _check(losses, counters)
    _apply(training, "generator", "encoder")
    return losses


def _reconstruction(
    training: Training,
    pictures_NCHW: torch.Tensor,
    targets_NCHW: torch.Tensor,
    losses: Losses,
    share: float,
) -> torch.Tensor:
    """L1, its pyramid and, if asked for, the distance of lite0 features; times `share`."""
    pixels = loss.pyramid(pictures_NCHW, targets_NCHW)
    _note(losses, "reconstruction", pixels, share)
    if training.features is None or training.settings.feature_weight == 0.0:
        return pixels * share
    with torch.no_grad():
        theirs = training.features(targets_NCHW)
    distance = loss.features(training.features(pictures_NCHW), theirs)
    _note(losses, "features", distance, share)
    return (pixels + training.settings.feature_weight * distance) * share


def _pull(training: Training, reals_NCHW: torch.Tensor, losses: Losses) -> torch.Tensor:
    """Sliced Wasserstein distance of many codes to as many draws from the prior, weighted.

    The pictures of the batch come first; the others are drawn from a row of their own.
    """
    settings, counters = training.settings, training.counters
    extra = max(0, settings.pull_codes - len(reals_NCHW))
    start = counters.step * extra
    wanted = pictures_at(settings.seed, "pull", start, extra, len(training.pictures))
    more_NCHW = training.pictures.batch(wanted).to(training.device)
    codes_KZ = training.networks.encoder(torch.cat([reals_NCHW, more_NCHW]))
    z_dim = settings.architecture.z_dim
    prior_KZ = onto_sphere(normal((len(codes_KZ), z_dim), settings.seed, "prior", counters.step))
    directions = normal(
        (settings.pull_directions, z_dim), settings.seed, "directions", counters.step
    )
    distance = loss.sliced_wasserstein(
        codes_KZ, prior_KZ.to(training.device), directions.to(training.device)
    )
    _note(losses, "pull", distance, 1.0)
    return settings.pull_weight * distance


# ---- the adversarial phases -----------------------------------------------------------------


def adversarial_step(training: Training) -> Losses:
    """Train the discriminator, then (not in its first steps alone) the generator, then R1.

    Only the generator's forward pass for the discriminator moves w_avg and the magnitudes.
    """
    settings, counters = training.settings, training.counters
    alone = counters.adversarial_step < settings.discriminator_alone_steps
    reals_NCHW = _reals(training)
    losses: Losses = {}
    fakes = _fakes(training, with_graph=settings.share_fakes and not alone)
    discriminator_phase(training, fakes, reals_NCHW, losses)
    if not alone:
        generator_phase(training, fakes if settings.share_fakes else None, reals_NCHW, losses)
    if settings.gamma > 0.0 and counters.adversarial_step % settings.r1_every == 0:
        r1_phase(training, reals_NCHW, losses)
    counters.adversarial_step += 1
    return losses


def discriminator_phase(
    training: Training,
    fakes: Sequence[torch.Tensor],
    reals_NCHW: torch.Tensor,
    losses: Losses,
) -> None:
    """Move the discriminator to tell `fakes` (one tensor a micro-batch) from the reals."""
    rounds = training.settings.rounds
    judge = training.networks.discriminator.requires_grad_(True)
    signs = 0.0
    for fakes_NCHW, part_NCHW in zip(fakes, reals_NCHW.chunk(rounds), strict=True):
        on_fakes = loss.on_fakes(judge(fakes_NCHW.detach()))
        (on_fakes / rounds).backward()
        logits_N = judge(part_NCHW)
        on_reals = loss.on_reals(logits_N)
        (on_reals / rounds).backward()
        _note(losses, "d_fakes", on_fakes, 1.0 / rounds)
        _note(losses, "d_reals", on_reals, 1.0 / rounds)
        signs += float(logits_N.detach().sign().mean()) / rounds
    losses["real_sign"] = signs
    _check(losses, training.counters)
    _apply(training, "discriminator")


def generator_phase(
    training: Training,
    fakes: Sequence[torch.Tensor] | None,
    reals_NCHW: torch.Tensor,
    losses: Losses,
) -> None:
    """Move the generator to fool the discriminator, and to go on reconstructing some reals.

    `fakes` are pictures whose graphs are still held; None: draw new ones.
    """
    rounds = training.settings.rounds
    judge = training.networks.discriminator.requires_grad_(False)
    _set_momentum(training.optimisers["generator"], 0.0)
    for fakes_NCHW in fakes or _fresh_fakes(training):
        fooled = loss.fooled(judge(fakes_NCHW))
        (fooled / rounds).backward()
        _note(losses, "g_fakes", fooled, 1.0 / rounds)
    moved = ["generator"]
    if _keep_reconstructing(training, reals_NCHW, losses):
        moved.append("encoder")
    _check(losses, training.counters)
    _apply(training, *moved)


def _keep_reconstructing(training: Training, reals_NCHW: torch.Tensor, losses: Losses) -> bool:
    """Reconstruct a share of the batch and keep pulling the codes; say whether it was done."""
    settings = training.settings
    take = math.ceil(settings.batch * settings.reconstruction_share)
    if settings.reconstruction_weight == 0.0 or take == 0:
        return False
    some_NCHW = reals_NCHW[:take]
    rounds = math.ceil(take / (settings.micro_batch or settings.batch))
    for part_NCHW in some_NCHW.chunk(rounds):
        codes_NZ = training.networks.encoder(part_NCHW)
        pictures_NCHW = training.networks.generator(codes_NZ)
        share = len(part_NCHW) / take
        value = _reconstruction(training, pictures_NCHW, part_NCHW, losses, share)
        (value * settings.reconstruction_weight).backward()
    _pull(training, reals_NCHW, losses).backward()
    return True


def r1_phase(training: Training, reals_NCHW: torch.Tensor, losses: Losses) -> None:
    """Lazy R1: the penalty times its interval, in a step of its own."""
    settings = training.settings
    judge = training.networks.discriminator.requires_grad_(True)
    for part_NCHW in reals_NCHW.chunk(settings.rounds):
        part_NCHW = part_NCHW.detach().requires_grad_(True)
        penalty = loss.r1(judge(part_NCHW), part_NCHW, settings.gamma)
        (penalty * (settings.r1_every / settings.rounds)).backward()
        _note(losses, "r1", penalty, 1.0 / settings.rounds)
    _check(losses, training.counters)
    _apply(training, "discriminator")


# ---- what the phases share ------------------------------------------------------------------


def _reals(training: Training) -> torch.Tensor:
    """The next batch in the endless row of shuffled pictures."""
    settings = training.settings
    wanted = pictures_at(
        settings.seed,
        "pictures",
        training.counters.cursor,
        settings.batch,
        len(training.pictures),
    )
    return training.pictures.batch(wanted).to(training.device)


def _latents(training: Training, stream: Stream) -> torch.Tensor:
    settings = training.settings
    shape = (settings.batch, settings.architecture.z_dim)
    return normal(shape, settings.seed, stream, training.counters.step).to(training.device)


def _fakes(training: Training, *, with_graph: bool) -> list[torch.Tensor]:
    """Pictures for the discriminator's phase; the generator's running statistics move here."""
    generator = training.networks.generator.requires_grad_(with_graph)
    z_NZ = _latents(training, "z")
    pictures = [
        generator(part_NZ, update_emas=True) for part_NZ in z_NZ.chunk(training.settings.rounds)
    ]
    generator.requires_grad_(True)
    return pictures


def _fresh_fakes(training: Training) -> Iterator[torch.Tensor]:
    """Pictures for the generator's phase, one micro-batch at a time, statistics untouched."""
    z_NZ = _latents(training, "z_generator")
    for part_NZ in z_NZ.chunk(training.settings.rounds):
        yield training.networks.generator(part_NZ)


def _set_momentum(optimiser: torch.optim.Adam, beta1: float) -> None:
    for group in optimiser.param_groups:
        group["betas"] = (beta1, group["betas"][1])


def _note(losses: Losses, name: str, value: torch.Tensor, share: float) -> None:
    """Add a micro-batch's `share` of a mean."""
    losses[name] = losses.get(name, 0.0) + float(value.detach()) * share


def _check(losses: Losses, counters: Counters) -> None:
    bad = sorted(name for name, value in losses.items() if not math.isfinite(value))
    if bad:
        raise TrainingDiverged(
            f"step {counters.step}: {', '.join(bad)} is no longer a finite number; "
            "resume from an earlier snapshot with a lower learning rate or a higher gamma"
        )


def _apply(training: Training, *names: str) -> None:
    """Let the named optimisers take a step, unless a gradient is not finite."""
    for name in names:
        network: nn.Module = getattr(training.networks, name)
        for label, parameter in network.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                raise TrainingDiverged(
                    f"step {training.counters.step}: the gradient of {name}.{label} is not "
                    "finite; resume from an earlier snapshot with a lower learning rate or "
                    "a higher gamma"
                )
        training.optimisers[name].step()
        training.optimisers[name].zero_grad(set_to_none=True)
