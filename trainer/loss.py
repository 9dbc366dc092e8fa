"""The losses, each with its equation. Knows no network, no optimiser and no data set.

Shape letters: N pictures, C channels, H and W pixels, Z latent width, K codes, M directions.
σ₊ is softplus, l a logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

PYRAMID_PX = (8, 16, 32)


def fooled(logits_N: torch.Tensor) -> torch.Tensor:
    """Return the generator's loss, mean σ₊(−l(fake)): Goodfellow 2014, §3 (non-saturating)."""
    return F.softplus(-logits_N).mean()


def on_fakes(logits_N: torch.Tensor) -> torch.Tensor:
    """Return the discriminator's loss on fakes, mean σ₊(l(fake)): Goodfellow 2014, eq. 1."""
    return F.softplus(logits_N).mean()


def on_reals(logits_N: torch.Tensor) -> torch.Tensor:
    """Return the discriminator's loss on reals, mean σ₊(−l(real)): Goodfellow 2014, eq. 1."""
    return F.softplus(-logits_N).mean()


def r1(logits_N: torch.Tensor, reals_NCHW: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return (γ/2) · mean_N Σ_CHW (∂ Σ l / ∂ real)²: Mescheder 2018, eq. 9.

    `reals_NCHW` must require gradients and must be what `logits_N` was computed from. The
    result can be differentiated again.
    """
    (slope_NCHW,) = torch.autograd.grad(logits_N.sum(), reals_NCHW, create_graph=True)
    return slope_NCHW.square().sum(dim=(1, 2, 3)).mean() * (gamma / 2)


def pyramid(
    pictures_NCHW: torch.Tensor,
    targets_NCHW: torch.Tensor,
    sizes_px: Sequence[int] = PYRAMID_PX,
) -> torch.Tensor:
    """Return mean |x − y| at full size plus the same after area-averaging to each smaller size.

    The small sizes hold place and colour of large shapes, which full-size L1 alone finds slowly.
    """
    total = F.l1_loss(pictures_NCHW, targets_NCHW)
    for size in sizes_px:
        if size < pictures_NCHW.shape[-1]:
            small = F.adaptive_avg_pool2d(pictures_NCHW, size)
            total = total + F.l1_loss(small, F.adaptive_avg_pool2d(targets_NCHW, size))
    return total


def features(
    ours: Sequence[torch.Tensor],
    theirs: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Return the mean over layers of Σ_C (x̂ − ŷ)², x̂ of unit length per place: LPIPS, eq. 1.

    Zhang 2018 with all weights 1. Each entry is [N, C, H, W].
    """
    parts = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean()
        for a, b in zip(ours, theirs, strict=True)
    ]
    return torch.stack(parts).mean()


def sliced_wasserstein(
    codes_KZ: torch.Tensor,
    prior_KZ: torch.Tensor,
    directions_MZ: torch.Tensor,
) -> torch.Tensor:
    """Return the mean squared 1-D Wasserstein-2 distance over unit directions.

    Bonneel 2015, eq. 9: mean_M mean_K (sort⟨θ, code⟩ − sort⟨θ, prior⟩)². `directions_MZ` need not
    be unit vectors. Both sets must have the same number of rows.
    """
    unit_ZM = F.normalize(directions_MZ, dim=1).T
    ours_KM = (codes_KZ @ unit_ZM).sort(dim=0).values
    theirs_KM = (prior_KZ @ unit_ZM).sort(dim=0).values
    return (ours_KM - theirs_KM).square().mean()
