"""Prepared pictures in one folder: how they are made, what they are, and how a training reads them.

Knows no network and no loss. Refuses a folder whose contents do not match its own hash, and refuses
to write over a data set of another recipe.

A data set is a folder of three files:
    images.npy      uint8 [N, 3, S, S], C order, red first, top row first
    manifest.jsonl  one JSON object a line, line i about picture i
    dataset.json    what it is: size, count, seed, recipe with versions, licence, SHA-256
The SHA-256 over the pixels and then the manifest is the data set's name in cards and metrics.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from trainer import peeps
from trainer.workshop import FORMAT, Plan, draw_parts, part_path, write_atomically


class DataSetError(Exception):
    """A data set cannot be read or made; the message says where, why and what to do."""


def _inconsistent(path: Path, found: str, expected: str) -> DataSetError:
    return DataSetError(
        f"{path}: found {found}, expected {expected}; the data set is damaged or was edited. "
        "Prepare it again into an empty folder."
    )


def contents_sha256(images: NDArray[np.uint8], manifest: bytes) -> str:
    """Return the SHA-256 in hex over the pixels in C order, then the manifest's bytes."""
    digest = hashlib.sha256()
    for start in range(0, len(images), 4096):
        digest.update(np.ascontiguousarray(images[start : start + 4096]).data)
    digest.update(manifest)
    return digest.hexdigest()


class DataSet:
    """A prepared data set, mapped from its file: opening 20 000 pictures takes no memory.

    Raises DataSetError if the folder is no data set or its contents do not match its hash;
    `verify=False` skips the hash (0.3 s for 20 000 pictures of 64 px), not the shape checks.
    """

    def __init__(self, path: Path | str, *, verify: bool = True) -> None:
        self.path = Path(path)
        self.info = _read_info(self.path)
        self.sha256 = str(self.info["sha256"])  # the data set's name
        self._manifest = _read_manifest(self.path)
        # Copy-on-write: torch warns about read-only memory, and no one may alter the file.
        self._pixels = _read_images(self.path)
        self._check_shapes()
        if verify:
            self._check_contents()
        self.images: torch.Tensor = torch.from_numpy(self._pixels)  # uint8 [N, 3, S, S]

    def __len__(self) -> int:
        """How many pictures."""
        return int(self.info["count"])

    @property
    def resolution(self) -> int:
        """Edge of the square pictures, in pixels."""
        return int(self.info["size"])

    @property
    def size(self) -> int:
        """Edge of the square pictures, in pixels (the word of dataset.json)."""
        return self.resolution

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """One row of attributes per picture, in the order of the pictures."""
        return [json.loads(line) for line in self._manifest.splitlines()]

    def batch(self, indices: Sequence[int] | NDArray[np.integer] | torch.Tensor) -> torch.Tensor:
        """Return pictures as float32 [n, 3, S, S] in [-1, 1]; indices must be in [0, len)."""
        chosen = np.asarray(indices, dtype=np.int64)
        picked = torch.from_numpy(self._pixels[chosen])
        return picked.to(torch.float32).div_(127.5).sub_(1.0)

    def _check_shapes(self) -> None:
        size, count = self.resolution, len(self)
        expected = (count, 3, size, size)
        if self._pixels.shape != expected or self._pixels.dtype != np.uint8:
            found = f"{self._pixels.dtype} {list(self._pixels.shape)}"
            raise _inconsistent(self.path / "images.npy", found, f"uint8 {list(expected)}")
        rows = self._manifest.count(b"\n")
        if rows != count:
            path = self.path / "manifest.jsonl"
            raise _inconsistent(path, f"{rows} rows", f"{count}, one for each picture")

    def _check_contents(self) -> None:
        found = contents_sha256(self._pixels, self._manifest)
        if found != self.sha256:
            raise _inconsistent(self.path, f"contents with SHA-256 {found}", self.sha256)


def _read_info(path: Path) -> dict[str, Any]:
    file = path / "dataset.json"
    if not file.is_file():
        raise DataSetError(
            f"{path}: found no dataset.json, expected a prepared data set. "
            "Make one: wanderer train prepare peeps --count 20000 --size 64 -o FOLDER"
        )
    try:
        info = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise _inconsistent(file, f"text that is not JSON ({error})", "a JSON object") from error
    wanted = {"format": int, "count": int, "size": int, "sha256": str}
    if not isinstance(info, dict):
        raise _inconsistent(file, "no JSON object", "a JSON object")
    for key, kind in wanted.items():
        if not isinstance(info.get(key), kind):
            raise _inconsistent(file, f"{key}: {info.get(key)!r}", f"{key}: {kind.__name__}")
    if info["format"] != FORMAT:
        raise DataSetError(
            f"{file}: found format {info['format']}, expected {FORMAT}; it was prepared by "
            "another version of Wanderer. Use that version, or prepare it again."
        )
    return info


def _read_manifest(path: Path) -> bytes:
    file = path / "manifest.jsonl"
    if not file.is_file():
        raise _inconsistent(path, "no manifest.jsonl", "one row for each picture")
    return file.read_bytes()


def _read_images(path: Path) -> NDArray[np.uint8]:
    file = path / "images.npy"
    try:
        pixels = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _inconsistent(file, f"no readable array ({error})", "a NumPy array file") from error
    if not isinstance(pixels, np.ndarray):
        pixels.close()
        raise _inconsistent(file, "an archive", "one NumPy array")
    return pixels


# ---------------------------------------------------------------------------- preparation


def _check_plan(plan: Plan) -> None:
    for name, value, low, high in (
        ("count", plan.count, 1, 10_000_000),
        ("size", plan.size, 16, 1024),
        ("seed", plan.seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise DataSetError(
                f"prepare peeps: found {name} {value}, expected {low} to {high}. "
                f"Give another --{name}."
            )


def _open_workshop(out: Path, plan: Plan) -> Path:
    """Make or reopen the folder beside `out` where parts gather until the data set is whole."""
    folder = out.with_name(out.name + ".partial")
    wanted = json.dumps(plan.info(), indent=2, sort_keys=True).encode()
    plan_file = folder / "plan.json"
    if plan_file.is_file() and plan_file.read_bytes() != wanted:
        raise DataSetError(
            f"{folder}: found an unfinished preparation with other settings or package versions "
            f"than asked for (see {plan_file.name}). Remove that folder, or choose another output."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not plan_file.is_file():
        write_atomically(plan_file, wanted)
    return folder


def _assemble(folder: Path, plan: Plan) -> None:
    """Join the parts into the three files; dataset.json comes last and makes it a data set."""
    shape = (plan.count, 3, plan.size, plan.size)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    for start, stop in plan.parts():
        images[start:stop] = np.load(part_path(folder, start), allow_pickle=False)
    images.flush()
    rows = ({"picture": i, **peeps.peep(plan.seed, i).row()} for i in range(plan.count))
    manifest = "".join(json.dumps(row) + "\n" for row in rows).encode()
    write_atomically(folder / "manifest.jsonl", manifest)
    info = {**plan.info(), "sha256": contents_sha256(images, manifest)}
    write_atomically(folder / "dataset.json", json.dumps(info, indent=2).encode() + b"\n")


def _already_there(out: Path, plan: Plan) -> DataSet | None:
    """Return the finished data set at `out` if it is the one asked for; None if nothing is."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    found = DataSet(out)
    if {**found.info, "sha256": None} == {**plan.info(), "sha256": None}:
        return found
    raise DataSetError(
        f"{out}: found another data set ({len(found)} pictures of {found.resolution} px, seed "
        f"{found.info.get('seed')}), expected an empty place. Choose another output folder."
    )


def prepare_peeps(
    count: int,
    size: int,
    out: Path | str,
    seed: int = 1,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> DataSet:
    """Draw `count` figures of `size` px into the folder `out` and return the data set.

    The same count, size, seed and package versions give the same bytes with any number of
    `workers` (None: one for each processor). Interrupted, the same call goes on where it stopped;
    finished, it returns what is there. A bar on stderr shows `progress`. Raises DataSetError.
    """
    place, plan = Path(out), Plan(count, size, seed)
    _check_plan(plan)
    if (finished := _already_there(place, plan)) is not None:
        return finished
    folder = _open_workshop(place, plan)
    drawn = draw_parts(folder, plan, workers or os.cpu_count() or 1)
    columns = (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("drawing figures", total=count)
        for pictures in drawn:
            bar.advance(task, pictures)
    _assemble(folder, plan)
    for part in folder.glob("part-*.npy"):
        part.unlink()
    (folder / "plan.json").unlink()
    os.replace(folder, place)  # an empty folder at `place` gives way
    return DataSet(place)
