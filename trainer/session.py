"""Carries a run from where it is to its goal: steps, metrics, log, snapshots, a clean stop.

Decides nothing about how a step is done. Time here is only how long things take.
"""

from __future__ import annotations

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from safetensors.torch import save

from models.card import Card, write_card
from models.sheet import contact_sheet, to_uint8
from trainer import runs, store
from trainer.networks import generator_arguments
from trainer.training import Training
from trainer.training_loop import Losses, step

log = logging.getLogger("wanderer.train")

GRID = (8, 8)  # columns, rows of fakes.png
MIN_FREE_BYTES = 200 * 2**20

Row = dict[str, float | int | str]
Draw = Callable[[int, int], torch.Tensor]  # (first seed, how many) -> pictures
Measure = Callable[[Draw], Row]


@dataclass(frozen=True)
class Pace:
    """When to stop, to report and to save."""

    kimg: float  # total, counted from the run's first picture
    snapshot_minutes: float = 10.0
    snapshot_kimg: float | None = None  # in place of minutes, where given
    report_s: float = 15.0
    keep: int = 5


@dataclass
class Stop:
    """Whether someone asked for an end."""

    asked: str = ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; a second one ends the process at once."""
        self.asked = signal.Signals(number).name
        log.info("%s: finishing this step, then saving; once more ends at once", self.asked)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request that the loop honours after its step."""
    stop = Stop()
    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@dataclass
class _Tally:
    """Means of the losses since the last report."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, losses: Losses) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: round(self.sums[name] / self.counts[name], 5) for name in self.sums}


def carry_on(
    run: runs.Run,
    training: Training,
    pace: Pace,
    stop: Stop,
    *,
    measure: Measure | None = None,
) -> Path:
    """Train until `pace.kimg` or until asked to stop; save at the end; return the snapshot."""
    counters, saved_at, saved_images = training.counters, time.monotonic(), -1
    while counters.images < 1000 * pace.kimg and not stop.asked:
        row = _train_for_a_while(training, pace, stop)
        is_over = bool(stop.asked) or counters.images >= 1000 * pace.kimg
        if is_over or _is_due(pace, saved_at, saved_images, counters.images):
            row |= save_snapshot(run, training, pace.keep, None if stop.asked else measure)
            saved_at, saved_images = time.monotonic(), counters.images
        run.append(row)
    return run.folder / runs.SNAPSHOTS / runs.snapshot_name(counters.images)


def _is_due(pace: Pace, saved_at: float, saved_images: int, images: int) -> bool:
    if pace.snapshot_kimg is not None:
        return images - max(0, saved_images) >= 1000 * pace.snapshot_kimg
    return time.monotonic() - saved_at >= 60 * pace.snapshot_minutes


def _train_for_a_while(training: Training, pace: Pace, stop: Stop) -> Row:
    """Take steps for `report_s` seconds, at least one; log and return their mean losses."""
    counters, tally = training.counters, _Tally()
    phase = "warm start" if training.is_warming else "adversarial"
    begun, images = time.monotonic(), counters.images
    while counters.images == images or not (stop.asked or _is_told(training, pace, begun)):
        before = time.monotonic()
        tally.add(step(training))
        counters.seconds += time.monotonic() - before
    pace_s = 1000 * (time.monotonic() - begun) / max(1, counters.images - images)
    means = tally.means()
    shown = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
    log.info("%8.3f kimg  %s  %.0f s/kimg  %s", counters.images / 1000, phase, pace_s, shown)
    return {
        "kimg": counters.images / 1000,
        "step": counters.step,
        "phase": phase,
        "seconds": round(counters.seconds, 1),
        "s_per_kimg": round(pace_s, 1),
        **means,
    }


def _is_told(training: Training, pace: Pace, begun: float) -> bool:
    """Whether it is time for a row: by the clock, at the goal, or where a snapshot is due."""
    images, batch = training.counters.images, training.settings.batch
    if images >= 1000 * pace.kimg or time.monotonic() - begun >= pace.report_s:
        return True
    every = round(1000 * (pace.snapshot_kimg or 0.0))
    return every > 0 and images % every < batch


# ---- snapshots ------------------------------------------------------------------------------


def save_snapshot(run: runs.Run, training: Training, keep: int, measure: Measure | None) -> Row:
    """Write a snapshot, drop the oldest beyond `keep`, return what was measured."""
    images = training.counters.images
    free = shutil.disk_usage(run.folder).free
    if free < MIN_FREE_BYTES:
        raise runs.RunUnusable(
            f"{run.folder}: {free // 2**20} MiB free, at least {MIN_FREE_BYTES // 2**20} needed "
            "to save; make room, then continue with --resume (the last snapshot is intact)"
        )
    with runs.new_snapshot(run, images) as folder:
        sha256 = store.save_state(training, folder / store.STATE)
        write_network(training, folder, f"{run.folder.name}-{images / 1000:.3f}-kimg", run.origin)
        columns, rows = GRID
        contact_sheet(to_uint8(pictures(training, 0, columns * rows)), columns, 2).save(
            folder / "fakes.png"
        )
        contact_sheet(to_uint8(_reconstructions(training, columns)), columns, 2).save(
            folder / "reconstructions.png"
        )
    run.drop_old(keep)
    log.info("%8.3f kimg  saved %s (state %s)", images / 1000, folder.name[1:-8], sha256[:12])
    if measure is None:
        return {}
    row = measure(lambda start, count: pictures(training, start, count))
    log.info("%8.3f kimg  %s", images / 1000, row)
    return dict(row)


def pictures(training: Training, start: int, count: int) -> torch.Tensor:
    """Return [count, 3, H, W] of the averaged generator for seeds start, start + 1, …"""
    z_dim = training.settings.architecture.z_dim
    seeds = range(start, start + count)
    drawn = np.concatenate([np.random.RandomState(seed).randn(1, z_dim) for seed in seeds])
    z_NZ = torch.from_numpy(drawn).to(training.device, torch.float32)
    with torch.inference_mode():
        made = [training.networks.average(part_NZ) for part_NZ in torch.split(z_NZ, 8)]
    return torch.cat(made).cpu()


def _reconstructions(training: Training, columns: int) -> torch.Tensor:
    """Rows of the data set's first pictures, each with its reconstruction below."""
    take = min(4 * columns, len(training.pictures))
    reals_NCHW = training.pictures.batch(torch.arange(take))
    made = []
    with torch.inference_mode():
        for part_NCHW in torch.split(reals_NCHW, columns):
            codes = training.networks.encoder(part_NCHW.to(training.device))
            made += [part_NCHW, training.networks.average(codes).cpu()]
    return torch.cat(made)


def write_network(training: Training, folder: Path, name: str, origin: runs.Origin) -> str:
    """Write the averaged generator and its card; return the sha-256 of the weights."""
    shape = training.settings.architecture
    tensors = {
        key: value.detach().cpu().contiguous()
        for key, value in training.networks.average.state_dict().items()
    }
    sha256 = store.write_atomically(folder / "network.safetensors", save(tensors))
    card = Card(
        name=name,
        kind="stylegan3-t",
        arguments=generator_arguments(shape, training.settings.batch),
        resolution=shape.resolution,
        z_dim=shape.z_dim,
        c_dim=0,
        w_dim=shape.w_dim,
        num_ws=training.networks.average.num_ws,
        sha256=sha256,
        data_set={"sha256": origin.data_sha256},
        training={
            "kimg": training.counters.images / 1000,
            "hours": round(training.counters.seconds / 3600, 3),
            "seed": training.settings.seed,
            "command": origin.command,
        },
    )
    write_card(card, folder / "network.card.yaml")
    return sha256
