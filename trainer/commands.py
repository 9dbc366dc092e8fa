"""What the training commands do: start a run, continue one, grow a new one from a snapshot.

Knows every other room of the trainer; prints nothing and parses no command line.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from models.features import FeaturesUnavailable, lite0
from trainer import metrics, runs, session, store
from trainer.dataset import DataSet
from trainer.settings import Settings, adjusted
from trainer.training import Training, new_training

log = logging.getLogger("wanderer.train")


@dataclass(frozen=True)
class Machine:
    """Where a run works: may differ from one resumption to the next."""

    device: str = "cpu"
    threads: int | None = None
    kid_pictures: int = 500  # made ones, at each snapshot; 0: KID is not measured
    kid_reals: int = 2000


def start(
    settings: Settings, data: Path, out: Path, pace: session.Pace, machine: Machine, command: str
) -> Path:
    """Start a new run in `out`; return its last snapshot."""
    pictures = DataSet(data)
    training = _training(settings, pictures, machine)
    origin = runs.Origin(str(data.resolve()), pictures.sha256, command)
    return _carry(runs.create(out, settings, origin), training, pace, machine)


def resume(named: Path, data: Path | None, pace: session.Pace, machine: Machine) -> Path:
    """Continue a run from its newest sound snapshot, or from the one named; return the last."""
    run, snapshot = _run_and_snapshot(named)
    pictures = DataSet(data or Path(run.origin.data))
    training = _training(store.read_settings(snapshot / store.STATE), pictures, machine)
    store.load_state(training, snapshot / store.STATE)
    run.forget_after(training.counters.images)
    return _carry(run, training, pace, machine)


def branch(
    named: Path,
    data: Path | None,
    out: Path,
    pace: session.Pace,
    machine: Machine,
    *,
    changes: dict[str, object],
    command: str,
) -> Path:
    """Start a new run in `out` from a snapshot, with some rates or weights changed."""
    state = state_of(named)
    settings = adjusted(store.read_settings(state), changes)
    if data is None and state.name != store.STATE:
        raise runs.RunUnusable(f"{state}: a state alone does not know its data set; add --data")
    pictures = DataSet(data or Path(runs.find(state.parents[2]).origin.data))
    training = _training(settings, pictures, machine)
    store.load_state(training, state)
    origin = runs.Origin(str(pictures.path.resolve()), pictures.sha256, command, _lineage(state))
    run = runs.create(out, settings, origin)
    _copy_past(state, run, training.counters.images)
    return _carry(run, training, pace, machine)


def _lineage(state: Path) -> str:
    """Name a snapshot as RUN/SNAPSHOT, or by its file where it was published alone."""
    if state.name != store.STATE:
        return state.name
    return f"{state.parents[2].name}/{state.parent.name}"


def _copy_past(state: Path, run: runs.Run, images: int) -> None:
    """Begin the new run's metrics with its parent's, if the parent is at hand."""
    if state.name == store.STATE:
        for row in runs.find(state.parents[2]).rows():
            if row["kimg"] <= images / 1000:
                run.append(row)


def state_of(named: Path) -> Path:
    """Return the state file that a run, a snapshot or a state file stands for."""
    if named.is_file():
        return named
    if (named / store.STATE).is_file():
        return named / store.STATE
    _, snapshot = _run_and_snapshot(named)
    return snapshot / store.STATE


def _run_and_snapshot(named: Path) -> tuple[runs.Run, Path]:
    """Find what to continue; raises RunUnusable where that would lose something."""
    if named.is_file():
        raise runs.RunUnusable(
            f"{named}: a state alone is no run; go on in a new one with --out NAME --data DATASET"
        )
    is_snapshot = (named / store.STATE).is_file()
    run = runs.find(named.parents[1] if is_snapshot else named)
    newest = runs.newest_sound(run)
    if newest is None:
        raise runs.RunUnusable(
            f"{named}: no finished snapshot in this run; start it again with another --out"
        )
    if is_snapshot and newest.name != named.name:
        raise runs.RunUnusable(
            f"{named}: the run has gone on to {newest.name}; continue that with --resume "
            f"{run.folder}, or branch off with --out NAME"
        )
    return run, newest


def _training(settings: Settings, pictures: DataSet, machine: Machine) -> Training:
    if pictures.size != settings.architecture.resolution:
        raise runs.RunUnusable(
            f"{pictures.path}: pictures of {pictures.size} px, expected "
            f"{settings.architecture.resolution} px; prepare the data set at that size"
        )
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    _keep_freed_memory()
    features = lite0().endpoints if settings.feature_weight > 0.0 else None
    return new_training(settings, pictures, features=features, device=machine.device)


def _keep_freed_memory() -> None:
    """Ask glibc to keep freed pages: giving back and faulting in again costs a tenth of a step."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-4, 0)  # M_MMAP_MAX: large blocks come from the heap too
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def _carry(run: runs.Run, training: Training, pace: session.Pace, machine: Machine) -> Path:
    with runs.held(run), _logged(run.folder / "log.txt"), session.stoppable() as stop:
        log.info(
            "%8.3f kimg  %s: to %g kimg", training.counters.images / 1000, run.folder, pace.kimg
        )
        measure = _measure(run, training, machine)
        return session.carry_on(run, training, pace, stop, measure=measure)


def _measure(run: runs.Run, training: Training, machine: Machine) -> session.Measure | None:
    """Return how a snapshot is measured, or None where features can't be had."""
    if machine.kid_pictures == 0:
        return None
    try:
        lite0()
    except FeaturesUnavailable as error:
        log.warning("no kid_lite0 in this run: %s", error)
        return None
    cache = metrics.FeatureCache(run.folder.parent / "features")

    def measure(pictures: session.Draw) -> session.Row:
        real = cache.real(training.pictures, machine.kid_reals)
        made = (pictures(at, 8) for at in range(10_000, 10_000 + machine.kid_pictures, 8))
        return metrics.measure(real, metrics.features(made))

    return measure


class _logged:  # noqa: N801  a context manager used like a verb
    """Log to the run's file and to stderr while inside."""

    def __init__(self, path: Path) -> None:
        self._handlers: list[logging.Handler] = [logging.FileHandler(path), logging.StreamHandler()]

    def __enter__(self) -> None:
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
            log.addHandler(handler)
        log.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        for handler in self._handlers:
            log.removeHandler(handler)
            handler.close()
