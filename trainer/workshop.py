"""Where pictures gather while a data set is being drawn: parts that survive an interruption.

Knows no torch, so that the processes that draw start quickly, and no finished data set.
"""

import io
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from trainer import peeps

FORMAT: Final = 1  # of the folder, see trainer/dataset.py
PART: Final = 250  # pictures drawn between two points to resume from: about three seconds


@dataclass(frozen=True)
class Plan:
    """What is to be drawn; equal plans give equal bytes."""

    count: int
    size: int
    seed: int

    def info(self) -> dict[str, Any]:
        """Return dataset.json without its hash: everything that decides the pixels, and licence."""
        return {
            "format": FORMAT,
            "kind": "peeps",
            "count": self.count,
            "size": self.size,
            "seed": self.seed,
            "licence": peeps.LICENCE,
            "made_by": dict(peeps.recipe()),
        }

    def parts(self) -> list[tuple[int, int]]:
        """Return the spans (start, stop) of pictures that are drawn together."""
        return [(at, min(at + PART, self.count)) for at in range(0, self.count, PART)]


def write_atomically(path: Path, content: bytes) -> None:
    """Write so that after a power cut the file is whole or absent, never half."""
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def part_path(folder: Path, start: int) -> Path:
    """Where the part that begins with picture `start` is kept."""
    return folder / f"part-{start:08d}.npy"


def draw_part(folder: Path, plan: Plan, span: tuple[int, int]) -> int:
    """Draw one part into its file; return how many pictures it holds."""
    buffer = io.BytesIO()
    np.save(buffer, peeps.draw_range(plan.seed, *span, plan.size))
    write_atomically(part_path(folder, span[0]), buffer.getvalue())
    return span[1] - span[0]


def draw_parts(folder: Path, plan: Plan, workers: int) -> Iterator[int]:
    """Draw what is missing in the folder; yield the number of pictures there, then each gain."""
    missing = [span for span in plan.parts() if not part_path(folder, span[0]).is_file()]
    yield plan.count - sum(stop - start for start, stop in missing)
    if workers <= 1 or len(missing) <= 1:
        for span in missing:
            yield draw_part(folder, plan, span)
        return
    # Spawned, not forked: the caller may have torch's threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=context) as pool:
        try:
            jobs = [pool.submit(draw_part, folder, plan, span) for span in missing]
            for job in as_completed(jobs):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C: finish the parts begun, start no other
            raise
