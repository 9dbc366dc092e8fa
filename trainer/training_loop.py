"""One step of training: the warm start by reconstruction, then the adversarial phases.

Knows no files, no signals, no clock and no command line; a training's state is in `training`.

Shape letters: N pictures, C channels, H and W pixels, Z latent width, K codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from trainer import loss
from trainer.encoder import onto_sphere
from trainer.networks import average_decay, move_average
from trainer.sampling import Stream, normal, pictures_at
from trainer.training import Counters, Training

Losses = dict[str, float]


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer a finite number."""


def step(training: Training) -> Losses:
    """Train on one batch; return the losses. Raises TrainingDiverged on NaN or infinity."""
    losses = warm_step(training) if training.is_warming else adversarial_step(training)
    counters, settings = training.counters, training.settings
    counters.images += settings.batch
    counters.cursor += settings.batch
    counters.step += 1
    beta = average_decay(settings.batch, settings.ema_half_life, counters.images, settings.ema_ramp)
    move_average(training.networks.average, training.networks.generator, beta)
    return losses


# ---- the warm start -------------------------------------------------------------------------


def warm_step(training: Training) -> Losses:
    """Reconstruct a batch through encoder and generator, pulling the codes to the prior."""
    settings, counters = training.settings, training.counters
    training.networks.generator.requires_grad_(True)
    _pace_generator(training, momentum=0.9, share=1.0)  # plain regression: momentum helps
    reals_NCHW = _reals(training)
    losses: Losses = {}
    for part_NCHW in reals_NCHW.chunk(settings.rounds):
        codes_NZ = training.networks.encoder(part_NCHW)
        pictures_NCHW = _generate(training, codes_NZ, update_emas=True)
        share = 1.0 / settings.rounds
        _descend(_reconstruction(training, pictures_NCHW, part_NCHW, losses, share))
    _descend(_pull(training, reals_NCHW, losses))
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
    training.networks.discriminator.requires_grad_(True)
    signs = 0.0
    for fakes_NCHW, part_NCHW in zip(fakes, reals_NCHW.chunk(rounds), strict=True):
        on_fakes = loss.on_fakes(_judge(training, fakes_NCHW.detach()))
        _descend(on_fakes / rounds)
        logits_N = _judge(training, part_NCHW)
        on_reals = loss.on_reals(logits_N)
        _descend(on_reals / rounds)
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
    training.networks.discriminator.requires_grad_(False)
    _pace_generator(training, momentum=0.0, share=_ramp(training))
    for fakes_NCHW in fakes or _fresh_fakes(training):
        fooled = loss.fooled(_judge(training, fakes_NCHW))
        _descend(fooled / rounds)
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
        pictures_NCHW = _generate(training, codes_NZ)
        share = len(part_NCHW) / take
        value = _reconstruction(training, pictures_NCHW, part_NCHW, losses, share)
        _descend(value * settings.reconstruction_weight)
    _descend(_pull(training, reals_NCHW, losses))
    return True


def r1_phase(training: Training, reals_NCHW: torch.Tensor, losses: Losses) -> None:
    """Lazy R1: the penalty times its interval, in a step of its own."""
    settings = training.settings
    judge = training.networks.discriminator.requires_grad_(True)
    for part_NCHW in reals_NCHW.chunk(settings.rounds):
        part_NCHW = part_NCHW.detach().requires_grad_(True)
        penalty = loss.r1(judge(part_NCHW), part_NCHW, settings.gamma)
        _descend(penalty * (settings.r1_every / settings.rounds))
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


def _generate(training: Training, z_NZ: torch.Tensor, *, update_emas: bool = False) -> torch.Tensor:
    """Return float32 pictures; the mapping stays in float32, synthesis may use bfloat16."""
    generator = training.networks.generator
    ws = generator.mapping(z_NZ, update_emas=update_emas)
    with _reduced(training):
        pictures: torch.Tensor = generator.synthesis(ws, update_emas)
    return pictures


def _judge(training: Training, pictures_NCHW: torch.Tensor) -> torch.Tensor:
    with _reduced(training):
        logits: torch.Tensor = training.networks.discriminator(pictures_NCHW)
    return logits.float()


def _reduced(training: Training) -> torch.autocast:
    """Run matrix products in bfloat16 inside, if that is this training's precision."""
    return torch.autocast(
        training.device.partition(":")[0],
        dtype=torch.bfloat16,
        enabled=training.precision == "bfloat16",
    )


def _latents(training: Training, stream: Stream) -> torch.Tensor:
    settings = training.settings
    shape = (settings.batch, settings.architecture.z_dim)
    return normal(shape, settings.seed, stream, training.counters.step).to(training.device)


def _fakes(training: Training, *, with_graph: bool) -> list[torch.Tensor]:
    """Pictures for the discriminator's phase; the generator's running statistics move here."""
    generator = training.networks.generator.requires_grad_(with_graph)
    z_NZ = _latents(training, "z")
    pictures = [
        _generate(training, part_NZ, update_emas=True)
        for part_NZ in z_NZ.chunk(training.settings.rounds)
    ]
    generator.requires_grad_(True)
    return pictures


def _fresh_fakes(training: Training) -> Iterator[torch.Tensor]:
    """Pictures for the generator's phase, one micro-batch at a time, statistics untouched."""
    z_NZ = _latents(training, "z_generator")
    for part_NZ in z_NZ.chunk(training.settings.rounds):
        yield _generate(training, part_NZ)


def _descend(value: torch.Tensor) -> None:
    """Add the gradients of `value` to those at hand."""
    torch.autograd.backward(value)


def _ramp(training: Training) -> float:
    """Return the share of its rate that the generator moves at, rising from 0 to 1.

    Adam still measures gradients by those of the reconstruction; the judge's are far larger. At
    the full rate ten steps undid a third of the warm start (0.57 to 0.86 in L1 and its pyramid).
    """
    settings, counters = training.settings, training.counters
    done = counters.adversarial_step - settings.discriminator_alone_steps + 1
    return min(1.0, done / max(1, settings.generator_ramp_steps))


def _pace_generator(training: Training, *, momentum: float, share: float) -> None:
    for group in training.optimisers["generator"].param_groups:
        group["betas"] = (momentum, group["betas"][1])
        group["lr"] = training.settings.generator_lr * share


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
    """Let the named optimisers take a step, unless any of their gradients is not finite."""
    for name in names:
        network: nn.Module = getattr(training.networks, name)
        for label, parameter in network.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                raise TrainingDiverged(
                    f"step {training.counters.step}: the gradient of {name}.{label} is not "
                    "finite; resume from an earlier snapshot with a lower learning rate or "
                    "a higher gamma"
                )
    for name in names:
        training.optimisers[name].step()
        training.optimisers[name].zero_grad(set_to_none=True)
