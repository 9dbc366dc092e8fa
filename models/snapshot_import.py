"""Turns a snapshot into a model: weights, card and contact sheet. Runs nothing in the snapshot.

All three files are made and tried elsewhere first; only then do they appear, the card last, since
nothing is a model without its card.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from models.architecture import (
    InvalidArguments,
    build,
    shape_differences,
    shapes_of,
    weight_count,
)
from models.card import Card, Source, write_card
from models.image_model import ImageModel
from models.pickle_machine import SnapshotRefused
from models.registry import CARD_SUFFIX, SUFFIX, TESTCARD, ModelUnavailable, load_model, model_home
from models.sheet import contact_sheet, to_uint8
from models.snapshot_pickle import NETWORK, Snapshot, read
from models.stored_attributes import UnfamiliarNetwork
from models.weights_header import file_sha256

SHEET_SUFFIX = ".sheet.png"
SHEET_SEEDS = range(16)
SHEET_COLUMNS = 4
SHEET_CELL_PX = 256


class AlreadyThere(SnapshotRefused):
    """Another model has this name in this folder; nothing was written."""


@dataclass(frozen=True)
class Imported:
    """Where an imported model's files lie."""

    weights: Path
    card: Path
    sheet: Path

    def __str__(self) -> str:
        """Name the files for the person who imported them."""
        return f"{self.weights}, {self.card.name} and {self.sheet.name}"


def import_snapshot(
    pkl: Path, to: Path | None = None, report: Callable[[str], None] = lambda stage: None
) -> Imported:
    """Import a snapshot's averaged generator into the folder `to`, and return its files.

    Without `to` the folder is the one that shows find models in. `report` is told each stage.
    Raises SnapshotRefused (AlreadyThere is one) or ModelUnavailable; then nothing was written.
    """
    folder = to or model_home()
    report(f"reading {pkl.name}")
    snapshot = read(pkl)
    name = pkl.stem
    if name == TESTCARD:
        raise AlreadyThere(f"{pkl}: {TESTCARD!r} is a built-in model; rename the file")
    target = _files(folder, name)
    with tempfile.TemporaryDirectory(prefix="wanderer-import-") as workshop:
        made = _files(Path(workshop), name)
        report("writing weights and card")
        _write_model(snapshot, pkl, name, made)
        _refuse_to_overwrite(made, target)
        report(f"making {len(SHEET_SEEDS)} pictures with it")
        _write_sheet(load_model(made.weights, device="cpu", precision="float32"), made.sheet)
        _move(made, target)
    return target


def _files(folder: Path, name: str) -> Imported:
    suffixes = (SUFFIX, CARD_SUFFIX, SHEET_SUFFIX)
    return Imported(*(folder / f"{name}{suffix}" for suffix in suffixes))


def _write_model(snapshot: Snapshot, pkl: Path, name: str, made: Imported) -> None:
    kind, arguments = snapshot.structure.kind, snapshot.structure.arguments
    num_ws = _check_against_ours(snapshot, pkl)
    save_file(snapshot.tensors, made.weights, metadata={"format": "pt"})
    card = Card(
        name=name,
        kind=kind,  # type: ignore[arg-type]  # a text here, one of Kind there; pydantic checks
        arguments=arguments,
        resolution=arguments["img_resolution"],
        z_dim=arguments["z_dim"],
        c_dim=arguments["c_dim"],
        w_dim=arguments["w_dim"],
        num_ws=num_ws,
        sha256=file_sha256(made.weights),
        source=Source(file=snapshot.file, sha256=snapshot.sha256, network=NETWORK),
        notes=("Imported from a snapshot, whose program text was not run.",),
    )
    write_card(card, made.card)


def _check_against_ours(snapshot: Snapshot, pkl: Path) -> int:
    """Hold the tensors against a generator of ours; returns how many rows of ws it takes."""
    kind, arguments = snapshot.structure.kind, snapshot.structure.arguments
    held = sum(tensor.size for tensor in snapshot.tensors.values())
    try:
        if weight_count(kind, arguments) > held:
            raise UnfamiliarNetwork(f"{pkl}: its arguments describe more weights than it holds")
        generator = build(kind, arguments)
    except InvalidArguments as error:
        raise UnfamiliarNetwork(f"{pkl}: {error}; only unmodified generators fit") from error
    shapes = {key: tensor.shape for key, tensor in snapshot.tensors.items()}
    for found, wanted in shape_differences(shapes, shapes_of(generator)):
        raise UnfamiliarNetwork(
            f"{pkl}: {found}; expected {wanted} for a {kind} of these arguments"
        )
    num_ws: Any = generator.num_ws
    return int(num_ws)


def _refuse_to_overwrite(made: Imported, target: Imported) -> None:
    """Let a second import of the same weights pass; anything else that is there stays."""
    remedy = "remove or rename it, or import into another folder with --to"
    if target.weights.exists():
        if file_sha256(target.weights) != file_sha256(made.weights):
            raise AlreadyThere(f"{target.weights}: holds another model of this name; {remedy}")
        return
    for path in (target.card, target.sheet):
        if path.exists():
            raise AlreadyThere(f"{path}: is there without {target.weights.name}; {remedy}")


def _write_sheet(model: ImageModel, path: Path) -> None:
    cells = []
    for seed in SHEET_SEEDS:
        z_1Z = np.random.RandomState(seed).randn(1, model.z_dim)  # the usual tools' convention
        c_1C = np.eye(model.c_dim)[[seed % model.c_dim]] if model.c_dim else None
        picture = to_uint8(model.synthesize(model.map(z_1Z, c_1C)))[0]
        cells.append(_shrunk(picture))
    scale = max(1, SHEET_CELL_PX // model.resolution)
    contact_sheet(np.stack(cells), SHEET_COLUMNS, scale).save(path)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    if len(picture) <= SHEET_CELL_PX:
        return picture
    size = (SHEET_CELL_PX, SHEET_CELL_PX)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _move(made: Imported, target: Imported) -> None:
    """Put the files in place, each whole or not at all; those already there are left alone."""
    try:
        target.weights.parent.mkdir(parents=True, exist_ok=True)
        for source, place in (
            (made.weights, target.weights),
            (made.sheet, target.sheet),
            (made.card, target.card),
        ):
            if not place.exists():
                partial = place.with_name(f".{place.name}.partial")
                shutil.copyfile(source, partial)
                partial.replace(place)
    except OSError as error:
        folder, remedy = str(target.weights.parent), "choose another folder with --to"
        found = f"can't be written to ({error.strerror})"
        raise ModelUnavailable(folder, found, "a folder with room", remedy) from error
