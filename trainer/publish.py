"""Publishes a snapshot as a model: weights, a card that says where they come from, a sheet.

Knows snapshots and cards; trains nothing, and claims nothing that the run did not write down.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from models.card import Card, read_card, write_card
from models.registry import load_model
from models.sheet import contact_sheet, to_uint8
from trainer import runs, store
from trainer.dataset import DataSet

MAX_WEIGHTS_BYTES = 8_000_000
SHEET = (12, 8)  # columns, rows
PEEPS_LICENCE = "Apache-2.0 (weights); data set CC0-1.0"
PEEPS_LIMITS = (
    "Draws only what its data set holds: front and three-quarter busts in one drawn style, all "
    "looking one way; it has never seen a photograph and can't draw a real person.",
    "A small network trained for hours on a processor, not for days on a graphics card: lines are "
    "softer than in the data set, glasses, beards and mouths are often smeared, and some latents "
    "give a figure that no one would draw.",
    "Skin, hair and clothes come from the lists of the data set's recipe, in its proportions; it "
    "is no sample of any population.",
    "64 px; larger walls show it softly magnified.",
)


@dataclass(frozen=True)
class Published:
    """What was written."""

    weights: Path
    card: Path
    sheet: Path


def publish(snapshot: Path, to: Path, name: str, *, with_state: bool = False) -> Published:
    """Write NAME.safetensors, NAME.card.yaml and NAME.png to `to`; return their paths.

    With `with_state` also NAME.state.safetensors, from which anyone can go on training. Raises
    RunUnusable where the snapshot is damaged or its weights are larger than 8 MB.
    """
    if not runs.is_sound(snapshot):
        raise runs.RunUnusable(
            f"{snapshot}: not a sound snapshot ({runs.SUMS} and the files do not agree); publish "
            "another one of the run"
        )
    source = snapshot / "network.safetensors"
    if source.stat().st_size > MAX_WEIGHTS_BYTES:
        raise runs.RunUnusable(
            f"{source}: {source.stat().st_size} bytes, at most {MAX_WEIGHTS_BYTES} are published; "
            "train a smaller network (--shape channel_base=…)"
        )
    to.mkdir(parents=True, exist_ok=True)
    weights, card = to / f"{name}.safetensors", to / f"{name}.card.yaml"
    store.write_atomically(weights, source.read_bytes())
    write_card(_card(snapshot, name), card)
    if with_state:
        shutil.copyfile(snapshot / store.STATE, to / f"{name}.state.safetensors")
    return Published(weights, card, _write_sheet(weights, to / f"{name}.png"))


def _card(snapshot: Path, name: str) -> Card:
    """The snapshot's card, with all that the run and its data set tell."""
    run = runs.find(snapshot.parents[1])
    raw = read_card(snapshot / "network.card.yaml").model_dump()
    counters = store.read_counters(snapshot / store.STATE)
    data_set = _data_set(run)
    raw |= {
        "name": name,
        "licence": PEEPS_LICENCE if data_set.get("kind") == "peeps" else None,
        "data_set": data_set,
        "training": {
            "kimg": counters.images / 1000,
            "warm_start_kimg": run.settings.warm_start_kimg,
            "steps": counters.step,
            "hours": round(counters.seconds / 3600, 2),
            "seed": run.settings.seed,
            "command": run.origin.command,
            "resume": f"wanderer train run --resume {name}.state.safetensors --data DATASET "
            "--out NAME --kimg GOAL",
            "grown_from": run.origin.parent,
            "torch": _torch_of(snapshot / store.STATE),
            "settings": run.settings.model_dump(mode="json", exclude={"architecture"}),
        },
        "metrics": _metrics(run, counters.images / 1000),
        "limits": PEEPS_LIMITS if data_set.get("kind") == "peeps" else None,
    }
    return Card.model_validate(raw)


def _torch_of(state: Path) -> str:
    with safe_open(state, framework="pt") as file:
        return str((file.metadata() or {}).get("torch", torch.__version__))


def _data_set(run: runs.Run) -> dict[str, Any]:
    """What dataset.json says, if the data set is still where it was, else its hash alone."""
    folder = Path(run.origin.data)
    if not (folder / "dataset.json").is_file():
        return {"sha256": run.origin.data_sha256}
    data = DataSet(folder, verify=False)
    if data.sha256 != run.origin.data_sha256:
        return {"sha256": run.origin.data_sha256}
    return {"name": folder.name, **data.info}


def _metrics(run: runs.Run, kimg: float) -> tuple[dict[str, Any], ...]:
    """The measured rows up to the snapshot, oldest first; the first is never left out."""
    return tuple(row for row in run.rows() if "kid_lite0" in row and row["kimg"] <= kimg)


def _write_sheet(weights: Path, path: Path) -> Path:
    """Draw seeds 0, 1, 2, … through the published file itself, as a show would load it."""
    import numpy as np

    model = load_model(weights, device="cpu", precision="float32")
    columns, rows = SHEET
    made = [
        model.synthesize(model.map(np.random.RandomState(seed).randn(1, model.z_dim)))
        for seed in range(columns * rows)
    ]
    contact_sheet(to_uint8(torch.cat([torch.as_tensor(each) for each in made])), columns, 2).save(
        path
    )
    return path
