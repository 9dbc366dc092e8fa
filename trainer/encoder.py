"""A small encoder from pictures onto the latent sphere, for the warm start only.

Knows nothing of the generator, and is no part of the published model.
"""

from __future__ import annotations

import torch
from torch import nn


def onto_sphere(codes_NZ: torch.Tensor) -> torch.Tensor:
    """Scale rows to length √Z, where the mapping network puts every latent first of all."""
    return codes_NZ * torch.rsqrt(codes_NZ.square().mean(dim=1, keepdim=True) + 1e-8)


class Encoder(nn.Module):
    """[N, C, R, R] in [−1, 1] -> [N, Z] of length √Z.

    Pixels are folded 2×2 into channels, then halved by strided convolutions down to 4 px. No
    batch statistics: a code depends on its own picture only.
    """

    def __init__(self, resolution: int, channels: int, z_dim: int, width: int) -> None:
        """Build for pictures of `resolution` px (a power of two, at least 8)."""
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        inside, outside, size = 4 * channels, width, resolution // 2
        while size > 4:
            layers += [
                nn.Conv2d(inside, outside, 3, stride=2, padding=1),
                nn.GroupNorm(4, outside),
                nn.LeakyReLU(0.2),
            ]
            inside, outside, size = outside, min(2 * outside, 4 * width, 128), size // 2
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(inside * size * size, z_dim)

    def forward(self, pictures_NCHW: torch.Tensor) -> torch.Tensor:
        """Return codes on the sphere."""
        return onto_sphere(self.head(self.trunk(pictures_NCHW).flatten(1)))
