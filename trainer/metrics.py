"""How far the made pictures are from the data set, as numbers with their error and their origin.

Knows no training and no clock. Refuses the name FID, refuses to clamp a negative value, and never
touches torch's global random state: measuring a run does not change it.

kid_lite0: kernel distance (Bińkowski 2018, 1801.01401, cubic kernel, unbiased) in the features of
EfficientNet-lite0. Unbiased means that it may be negative near 0. precision, recall: share of made
pictures inside the real ones' manifold, and the reverse (Kynkäänniemi 2019, 1904.06991, k = 3).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.features import EXTRACTOR_SHA256, PREPROCESSING, lite0

N_REAL: Final = 4000  # once a data set: 60–80 s on one core, then kept
N_FAKE: Final = 1000  # 16 s on one core at each snapshot
SUBSETS: Final = 50
SUBSET_SIZE: Final = 500
NEIGHBOURS: Final = 3  # the paper's k
_BATCH: Final = 16
_FEWEST: Final = 16  # below this a variance over subsets says nothing


Row = dict[str, float | int | str]


class MetricsError(Exception):
    """A metric cannot be computed; the message says why and what to do."""


class Pictures(Protocol):
    """What metrics need of a data set."""

    sha256: str  # the data set's name

    def __len__(self) -> int:
        """How many pictures."""

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures of int64 indices as float32 [n, 3, S, S] in [-1, 1]."""


@dataclass(frozen=True)
class Kid:
    """One measurement: mean and standard deviation over subsets, and what it was made of."""

    mean: float
    std: float
    n_real: int
    n_fake: int
    subsets: int
    subset_size: int

    def row(self) -> Row:
        """Return the columns of metrics.jsonl; rows are comparable only if the last four agree."""
        return {
            "kid_lite0": self.mean,
            "kid_lite0_std": self.std,
            "kid_lite0_n_real": self.n_real,
            "kid_lite0_n_fake": self.n_fake,
            "kid_lite0_extractor": EXTRACTOR_SHA256[:12],
            "kid_lite0_preprocessing": PREPROCESSING,
        }


def features(batches: Iterable[Tensor], extractor: nn.Module | None = None) -> Tensor:
    """Return float32 [N, D] features of pictures [n, 3, H, W] in [-1, 1], in order, on the CPU.

    `extractor` maps pictures to [n, D] (None: EfficientNet-lite0 on the CPU, D = 1280). Pictures
    are rounded to bytes first, so that made and stored ones differ in nothing but their content.
    """
    network = lite0() if extractor is None else extractor
    found: list[Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            as_bytes = (batch.float().clamp(-1, 1) * 127.5 + 127.5).round()
            for start in range(0, len(as_bytes), _BATCH):
                found.append(network(as_bytes[start : start + _BATCH] / 127.5 - 1).cpu())
    if not found:
        raise MetricsError("features: found no pictures, expected at least one batch.")
    return torch.cat(found)


class FeatureCache:
    """Real features, computed once for each data set, extractor, preprocessing and choice."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def path(self, data: Pictures, count: int, seed: int) -> Path:
        """Where the features of `count` pictures of `data` chosen by `seed` are kept."""
        key = f"{data.sha256[:16]}-{EXTRACTOR_SHA256[:16]}-{PREPROCESSING}-n{count}-s{seed}"
        return self.folder / f"{key}.safetensors"

    def real(self, data: Pictures, count: int = N_REAL, seed: int = 0) -> Tensor:
        """Return float32 [min(count, len(data)), 1280]; a damaged file is computed again."""
        count = min(count, len(data))
        path = self.path(data, count, seed)
        if (kept := _read_kept(path, count)) is not None:
            return kept
        chosen = torch.from_numpy(np.random.default_rng(seed).permutation(len(data))[:count])
        real = features(data.batch(chosen[i : i + _BATCH]) for i in range(0, count, _BATCH))
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        save_file({"features": real}, draft)
        draft.replace(path)
        return real


def _read_kept(path: Path, count: int) -> Tensor | None:
    try:
        kept = load_file(path).get("features")
    except (OSError, SafetensorError):
        return None
    return kept if kept is not None and kept.shape[0] == count else None


def _check(real: Tensor, fake: Tensor) -> None:
    for name, found in (("real", real), ("made", fake)):
        if found.ndim != 2 or len(found) < _FEWEST:
            raise MetricsError(
                f"kid_lite0: found {name} features of shape {list(found.shape)}, expected at "
                f"least {_FEWEST} rows of features. Measure with more pictures."
            )
        if not bool(torch.isfinite(found).all()):
            raise MetricsError(
                f"kid_lite0: found {name} features that are not finite, so the {name} pictures "
                "are not pictures. Look at the last grid; go back to an earlier snapshot."
            )


def _subsets(count: int, size: int, generator: np.random.Generator) -> Iterator[Tensor]:
    while True:
        yield torch.from_numpy(generator.permutation(count)[:size])


def kid_lite0(real: Tensor, fake: Tensor, *, subsets: int = SUBSETS, seed: int = 0) -> Kid:
    """Return the kernel distance of two sets of features [N, D]; negative values stay negative.

    Means over `subsets` pairs of random subsets of min(500, N/2) rows, chosen by `seed`. Raises
    MetricsError. 1.5 s for 4000 and 1000 rows on one core.
    """
    # torchmetrics takes seconds to import and only a snapshot needs it.
    from torchmetrics.image.kid import poly_mmd

    _check(real, fake)
    size = min(SUBSET_SIZE, len(real) // 2, len(fake) // 2)
    generator = np.random.default_rng(seed)
    reals = _subsets(len(real), size, generator)
    fakes = _subsets(len(fake), size, generator)
    # float64: the distance is the small difference of large sums.
    real, fake = real.double(), fake.double()
    values = [float(poly_mmd(real[next(reals)], fake[next(fakes)])) for _ in range(subsets)]
    return Kid(
        mean=float(np.mean(values)),
        std=float(np.std(values)),
        n_real=len(real),
        n_fake=len(fake),
        subsets=subsets,
        subset_size=size,
    )


def _share_inside(points: Tensor, manifold: Tensor) -> float:
    """Share of `points` closer to some point of `manifold` than its own k-th neighbour is."""
    # k + 1: each point is its own nearest.
    radii = torch.cdist(manifold, manifold).kthvalue(NEIGHBOURS + 1, dim=1).values
    return float((torch.cdist(points, manifold) <= radii).any(1).double().mean())


def precision_recall(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Return (precision, recall) in [0, 1] of features [N, D], from as many real as made ones.

    Precision falls when pictures are wrong, recall when kinds of pictures are missing.
    """
    _check(real, fake)
    count = min(len(real), len(fake))
    real, fake = real[:count], fake[:count]
    return _share_inside(fake, real), _share_inside(real, fake)


def measure(real: Tensor, fake: Tensor, *, seed: int = 0) -> Row:
    """Return one row for metrics.jsonl: kid_lite0 with its columns, precision and recall."""
    precision, recall = precision_recall(real, fake)
    row = kid_lite0(real, fake, seed=seed).row()
    return {**row, "precision_lite0": precision, "recall_lite0": recall}
