"""Which pictures and which random numbers a step uses, as pure functions of (seed, step).

Keeps no state: a resumed run draws what the uninterrupted one would have drawn. Knows no
network and no loss.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch

Stream = Literal["z", "z_generator", "prior", "directions", "pictures", "pull", "init"]

_STREAMS: dict[Stream, int] = {
    "z": 1,
    "z_generator": 2,
    "prior": 3,
    "directions": 4,
    "pictures": 5,
    "pull": 6,
    "init": 8,
}


def source(seed: int, stream: Stream, step: int) -> torch.Generator:
    """Return the random source of one stream at one step (seeded through SeedSequence)."""
    word = np.random.SeedSequence([seed, _STREAMS[stream], step]).generate_state(1, np.uint64)[0]
    generator = torch.Generator()
    generator.manual_seed(int(word) & (2**63 - 1))
    return generator


def normal(shape: tuple[int, ...], seed: int, stream: Stream, step: int) -> torch.Tensor:
    """Return float32 N(0, 1) numbers of `shape`, made on the CPU so that devices agree."""
    return torch.randn(shape, generator=source(seed, stream, step))


@lru_cache(maxsize=8)
def _order(seed: int, stream: Stream, epoch: int, count: int) -> np.ndarray:
    words = np.random.SeedSequence([seed, _STREAMS[stream], epoch])
    return np.random.Generator(np.random.Philox(words)).permutation(count)


def pictures_at(seed: int, stream: Stream, cursor: int, take: int, count: int) -> torch.Tensor:
    """Return int64 indices [take] of the pictures at positions cursor … cursor + take - 1.

    The order is an endless row of passes over all `count` pictures, each pass shuffled by its
    own number, so every picture is seen once a pass wherever one begins to read.
    """
    positions = range(cursor, cursor + take)
    chosen = [int(_order(seed, stream, p // count, count)[p % count]) for p in positions]
    return torch.tensor(chosen, dtype=torch.int64)
