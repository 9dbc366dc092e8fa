"""Snapshots: a training's whole state as one file, and back again to the bit.

Knows the loop's parts by name; knows no run folders, no command line and no clock. Nothing in a
file can run: safetensors and JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from trainer.settings import Settings
from trainer.training import Counters, Training

FORMAT = "wanderer-training-1"
STATE = "state.safetensors"
NETWORKS = ("generator", "average", "discriminator", "encoder")
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class SnapshotUnusable(RuntimeError):
    """A snapshot is missing, damaged, or belongs to another training."""


def write_atomically(path: Path, content: bytes) -> str:
    """Write beside `path`, fsync, rename, fsync the folder; return the sha-256.

    At no moment is there a half-written file under the final name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return hashlib.sha256(content).hexdigest()


def _tensors(training: Training) -> dict[str, torch.Tensor]:
    """All tensors by name: NETWORK.KEY, and optimiser.NETWORK.MOMENT.PARAMETER."""
    tensors: dict[str, torch.Tensor] = {}
    for name in NETWORKS:
        network: nn.Module = getattr(training.networks, name)
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    for name, optimiser in training.optimisers.items():
        network = getattr(training.networks, name)
        for key, parameter in network.named_parameters():
            for moment in _MOMENTS:
                if parameter in optimiser.state:
                    tensors[f"optimiser.{name}.{moment}.{key}"] = optimiser.state[parameter][moment]
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def pack(training: Training, data_sha256: str) -> bytes:
    """Return the whole state of `training` as the bytes of one safetensors file."""
    metadata = {
        "format": FORMAT,
        "settings": training.settings.model_dump_json(),
        "counters": json.dumps(asdict(training.counters)),
        "data_sha256": data_sha256,
        "torch": torch.__version__,
    }
    return save(_tensors(training), metadata)


def save_state(training: Training, path: Path) -> str:
    """Write the state to `path`; return its sha-256."""
    return write_atomically(path, pack(training, training.pictures.sha256))


def read_settings(path: Path) -> Settings:
    """Return the settings that a snapshot was made with."""
    return Settings.model_validate_json(_metadata(path)["settings"])


def read_counters(path: Path) -> Counters:
    """Return how far a snapshot had come."""
    return Counters(**json.loads(_metadata(path)["counters"]))


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise SnapshotUnusable(f"{path}: no such snapshot; name a snapshot's folder or its {STATE}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise SnapshotUnusable(
            f"{path}: damaged ({error}); resume from an earlier snapshot of the same run"
        ) from error
    if metadata.get("format") != FORMAT:
        raise SnapshotUnusable(
            f"{path}: not a training state (format {metadata.get('format')!r}, expected "
            f"{FORMAT!r}); a network file can be shown but not resumed"
        )
    return metadata


def load_state(training: Training, path: Path) -> None:
    """Put the state of `path` into `training`, which has the same architecture.

    Raises SnapshotUnusable if any tensor is missing, left over or of another shape, or if the
    data set is another one: then a continued run would not be the same training.
    """
    metadata = _metadata(path)
    if metadata["data_sha256"] != training.pictures.sha256:
        raise SnapshotUnusable(
            f"{path}: made with data set {metadata['data_sha256'][:12]}, found "
            f"{training.pictures.sha256[:12]}; name the data set of that run with --data"
        )
    counters = Counters(**json.loads(metadata["counters"]))
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    for name in NETWORKS:
        _load_network(path, getattr(training.networks, name), name, tensors)
    for name in training.optimisers:
        _load_optimiser(path, training, name, tensors, counters)
    if tensors:
        raise SnapshotUnusable(f"{path}: {sorted(tensors)[0]} has no place in this training")
    training.counters = counters


def _load_network(
    path: Path, network: nn.Module, name: str, tensors: dict[str, torch.Tensor]
) -> None:
    """Copy the tensors of one network, taking them out of `tensors`."""
    for key, place in network.state_dict().items():
        place.copy_(_take(path, tensors, f"{name}.{key}", place.shape))


def _load_optimiser(
    path: Path,
    training: Training,
    name: str,
    tensors: dict[str, torch.Tensor],
    counters: Counters,
) -> None:
    """Copy the moments of one optimiser; an optimiser that never stepped has none."""
    optimiser = training.optimisers[name]
    prefix = f"optimiser.{name}."
    if not any(key.startswith(prefix) for key in tensors):
        if _has_stepped(training.settings, name, counters):
            raise SnapshotUnusable(f"{path}: the moments of optimiser {name} are missing")
        return
    network: nn.Module = getattr(training.networks, name)
    for key, parameter in network.named_parameters():
        shapes = {"step": torch.Size([])}
        optimiser.state[parameter] = {
            moment: _take(
                path, tensors, f"{prefix}{moment}.{key}", shapes.get(moment, parameter.shape)
            ).to("cpu" if moment == "step" else training.device)
            for moment in _MOMENTS
        }


def _has_stepped(settings: Settings, name: str, counters: Counters) -> bool:
    if name == "discriminator":
        return counters.adversarial_step > 0
    return counters.step > counters.adversarial_step or (
        counters.adversarial_step > settings.discriminator_alone_steps
        and (name == "generator" or settings.reconstruction_weight > 0.0)
    )


def _take(
    path: Path, tensors: dict[str, torch.Tensor], key: str, shape: torch.Size
) -> torch.Tensor:
    if key not in tensors:
        raise SnapshotUnusable(f"{path}: {key} is missing; the snapshot is not complete")
    found = tensors.pop(key)
    if found.shape != shape:
        raise SnapshotUnusable(
            f"{path}: {key} has shape {list(found.shape)}, expected {list(shape)}"
        )
    return found
