"""A run's folder: its frozen settings, its metrics, its log, its snapshots.

Knows files and names; knows no network and no loss. The folder is the truth, there is no index.

    run.json            settings, data set, command line, parent; written once
    metrics.jsonl       one JSON object a line
    log.txt             what was also shown while training
    snapshots/kimg-000012.304/
        state.safetensors     everything needed to go on
        network.safetensors   the averaged generator, with network.card.yaml
        fakes.png             pictures of fixed latents
        SHA256SUMS            of all of these
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.settings import Settings, one_line

SNAPSHOTS = "snapshots"
METRICS = "metrics.jsonl"
RUN = "run.json"
STATE = "state.safetensors"
SUMS = "SHA256SUMS"


class RunUnusable(RuntimeError):
    """A run folder can't be made, found or continued; the message says why and what to do."""


@dataclass(frozen=True)
class Origin:
    """Where a run's pictures and first weights come from, and who asked for it."""

    data: str
    data_sha256: str
    command: str
    parent: str | None = None  # the snapshot that this run grew from


def home() -> Path:
    """Return the folder of all runs: ~/wanderer-runs unless WANDERER_RUNS names another."""
    return Path(os.environ.get("WANDERER_RUNS") or Path.home() / "wanderer-runs")


def place(name_or_path: str) -> Path:
    """Return a run's folder: a bare name lies in `home()`, anything with a slash is a path."""
    path = Path(name_or_path).expanduser()
    return path if os.sep in name_or_path else home() / path


def named(name_or_path: str) -> Path:
    """Return what is meant by something that exists: a path as given, else a run's name."""
    path = Path(name_or_path).expanduser()
    return path if path.exists() else place(name_or_path)


@dataclass(frozen=True)
class Run:
    """One run: `folder`, and what was settled when it was made."""

    folder: Path
    settings: Settings
    origin: Origin

    def append(self, row: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl; a number that is not finite is an error (ValueError)."""
        line = json.dumps(row, allow_nan=False) + "\n"
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(line)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of metrics, oldest first; a last line cut off by a crash is left out."""
        path = self.folder / METRICS
        return list(_rows(path)) if path.is_file() else []

    def forget_after(self, images: int) -> None:
        """Drop the rows beyond `images`: a resumed run writes them again."""
        kept = [row for row in self.rows() if row["kimg"] <= images / 1000]
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in kept)
        partial = self.folder / f".{METRICS}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.folder / METRICS)

    def snapshots(self) -> list[Path]:
        """Return the folders of all finished snapshots, oldest first."""
        return sorted((self.folder / SNAPSHOTS).glob("kimg-*"))

    def drop_old(self, keep: int) -> None:
        """Delete all but the newest `keep` snapshots."""
        for folder in self.snapshots()[: -max(1, keep)]:
            shutil.rmtree(folder)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def create(folder: Path, settings: Settings, origin: Origin) -> Run:
    """Make a new run's folder; raises RunUnusable where there is one already."""
    if (folder / RUN).exists():
        raise RunUnusable(
            f"{folder}: there is a run already; continue it with --resume {folder} or choose "
            "another --out"
        )
    (folder / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
    content = {"settings": settings.model_dump(mode="json"), "origin": asdict(origin)}
    partial = folder / f".{RUN}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / RUN)
    return Run(folder, settings, origin)


def find(folder: Path) -> Run:
    """Open a run's folder; raises RunUnusable where there is none or it can't be read."""
    path = folder / RUN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = Settings.model_validate(content["settings"])
        return Run(folder, settings, Origin(**content["origin"]))
    except FileNotFoundError:
        raise RunUnusable(
            f"{folder}: no {RUN} here, expected a run's folder; start one with "
            "wanderer train run --data DATASET --out NAME"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunUnusable(
            f"{path}: can't be read ({one_line(error)}); restore it, or start a new run "
            "from one of its snapshots with --resume SNAPSHOT --out NAME"
        ) from error


def newest_sound(run: Run) -> Path | None:
    """Return the newest snapshot whose files match their sums, or None where there is none."""
    return next((folder for folder in reversed(run.snapshots()) if is_sound(folder)), None)


def is_sound(snapshot: Path) -> bool:
    """Whether every file named in SHA256SUMS is there and unchanged, the state among them."""
    sums = snapshot / SUMS
    if not sums.is_file():
        return False
    lines = [line.split("  ", 1) for line in sums.read_text(encoding="utf-8").splitlines()]
    names = {name for _, name in lines}
    return STATE in names and all(_sum(snapshot / name) == wanted for wanted, name in lines)


def _sum(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def snapshot_name(images: int) -> str:
    """Return the folder name of a snapshot after so many images; names sort by age."""
    return f"kimg-{images / 1000:010.3f}"


@contextmanager
def new_snapshot(run: Run, images: int) -> Iterator[Path]:
    """Yield a folder to fill; it gets its sums and its name only if nothing goes wrong."""
    final = run.folder / SNAPSHOTS / snapshot_name(images)
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    names = sorted(path.name for path in partial.iterdir())
    sums = "".join(f"{_sum(partial / name)}  {name}\n" for name in names)
    (partial / SUMS).write_text(sums, encoding="utf-8")
    for name in [*names, SUMS]:
        _sync(partial / name)
    _sync(partial)
    if final.exists():
        shutil.rmtree(final)
    partial.replace(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Hold the run for this process; raises RunUnusable while another one trains it."""
    with (run.folder / "run.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunUnusable(
                f"{run.folder}: another process is training this run; stop it first (Ctrl-C or "
                "SIGTERM: it saves and ends), or use another --out"
            ) from error
        yield
