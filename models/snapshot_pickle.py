"""Reads the snapshots that StyleGAN3 and StyleGAN2-ADA (PyTorch) write, and runs nothing in them.

A snapshot pickle is a program: the usual loader executes the source text inside it, and a second
pickle inside every tensor. Here the file only ever meets `pickle_machine` with the closed list of
`pickle_stubs`; torch is not needed, and no module is built before the whole file has been read.
"""

import hashlib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pickle_machine import (
    Budget,
    NotASnapshot,
    PickleMachine,
    SnapshotRefused,
    UnsafeSnapshot,
)
from models.pickle_stubs import Record, SnapshotMaker
from models.snapshot_structure import Structure, identify
from models.torch_storage import StoredTensor

MAX_FILE_BYTES = 1 << 30  # the largest official snapshot is about 300 MB
MAX_STORAGES = 10_000
MAX_MODULES = 4096
MAX_DEPTH = 12
NETWORK = "G_ema"  # the averaged generator: the one that is shown

_STARTS = (
    (b"", "is empty"),
    (b"<", "is a web page (it starts with '<'), probably an error message saved under this name"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file it points to"),
    (b"PK", "is a ZIP or torch.save archive, not a snapshot pickle"),
    (b"\x1f\x8b", "is gzip-compressed; unpack it first"),
)
_REMEDIES = {
    NotASnapshot: "give a StyleGAN3 or StyleGAN2-ADA (PyTorch) snapshot, or download it again",
    UnsafeSnapshot: "nothing in it was run; get the file from its makers, or do without it",
}
_UNMODIFIED = "only unmodified StyleGAN3 (T, R) and StyleGAN2 generators can be imported"


@dataclass(frozen=True)
class Snapshot:
    """The averaged generator of one snapshot, checked against our own schedule."""

    file: str  # its name, without folders
    sha256: str
    structure: Structure  # kind and constructor arguments
    tensors: dict[str, NDArray[np.float32]]  # as in the generator's state dict
    source_sha256: str  # of the program text that came with the network and was not run


def read(path: Path) -> Snapshot:
    """Read a snapshot; raises SnapshotRefused with file, finding and remedy in one sentence."""
    try:
        raw = _bytes_of(path)
        root, structure = _parsed(raw)
        stored = dict(_stored_tensors(root))
        if sum(tensor.numel for tensor in stored.values()) > len(raw):
            raise UnsafeSnapshot("shows the same numbers as many tensors; refused")
        tensors = {name: _weights(name, tensor) for name, tensor in stored.items()}
    except SnapshotRefused as error:
        remedy = _REMEDIES.get(type(error), _UNMODIFIED)
        raise type(error)(f"{path}: {error}; {remedy}") from error
    digest = hashlib.sha256(raw).hexdigest()
    return Snapshot(path.name, digest, structure, tensors, root.source_sha256)


def _bytes_of(path: Path) -> bytes:
    """Read a whole file within bounds, and refuse by its first bytes what is no pickle."""
    try:
        with path.open("rb") as file:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise NotASnapshot("is not a file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnsafeSnapshot(f"is larger than {MAX_FILE_BYTES >> 20} MiB; refused")
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise NotASnapshot(f"can't be read ({error.strerror})") from error
    start = raw[:64].lstrip()
    for beginning, finding in _STARTS:
        if start.startswith(beginning) and (beginning or not start):
            raise NotASnapshot(finding)
    return raw


def _parsed(raw: bytes) -> tuple[Record, Structure]:
    """Return the averaged generator's record and what kind of network it is."""
    budget = Budget(len(raw), MAX_STORAGES)
    try:
        root, end = PickleMachine(memoryview(raw), 0, SnapshotMaker(budget), budget).run()
        if end != len(raw):
            raise NotASnapshot(f"has {len(raw) - end} bytes after its end")
        network = _network(root)
        return network, identify(network)
    except (MemoryError, RecursionError) as error:
        raise UnsafeSnapshot("asks for more memory than there is; refused") from error


def _network(root: object) -> Record:
    if type(root) is tuple and len(root) == 3:
        raise NotASnapshot("is a TensorFlow pickle (three networks in a row), which can't be read")
    if type(root) is not dict:
        raise NotASnapshot(
            f"holds a {type(root).__name__} where a snapshot has a table of networks"
        )
    network = root.get(NETWORK)
    if type(network) is not Record:
        raise NotASnapshot(f"holds no network {NETWORK}")
    return network


def _stored_tensors(root: Record) -> Iterator[tuple[str, StoredTensor]]:
    """Yield the state dict: parameters, then buffers, then submodules, each with its path."""
    waiting: list[tuple[str, Record, int]] = [("", root, 0)]
    visited = 0
    while waiting:
        prefix, record, depth = waiting.pop()
        visited += 1
        if visited > MAX_MODULES or depth > MAX_DEPTH:
            raise UnsafeSnapshot("has more modules, or deeper ones, than any generator; refused")
        yield from _own_tensors(prefix, record)
        children = list(_table(record, "_modules").items())
        for name, child in reversed(children):
            if child is not None and type(child) is not Record:
                raise NotASnapshot(f"holds a submodule {_safe(name)} that isn't one")
            if child is not None:
                waiting.append((f"{prefix}{_safe(name)}.", child, depth + 1))


def _own_tensors(prefix: str, record: Record) -> Iterator[tuple[str, StoredTensor]]:
    passing = record.state.get("_non_persistent_buffers_set")
    skipped = passing if type(passing) is set else set()
    buffers = {k: v for k, v in _table(record, "_buffers").items() if k not in skipped}
    for name, tensor in [*_table(record, "_parameters").items(), *buffers.items()]:
        if tensor is None:
            continue
        if type(tensor) is not StoredTensor:
            raise NotASnapshot(f"holds a {type(tensor).__name__} where {_safe(name)} should be")
        yield prefix + _safe(name), tensor


def _table(record: Record, name: str) -> dict[str, Any]:
    table = record.state.get(name, {})
    if type(table) is not dict:
        raise NotASnapshot(f"is damaged: {name} is a {type(table).__name__}")
    return table


def _safe(name: str) -> str:
    if not re.fullmatch(r"\w{1,64}", name, re.ASCII):
        raise UnsafeSnapshot(f"gives a module or tensor the name {name[:40]!r}; refused")
    return name


def _weights(name: str, tensor: StoredTensor) -> NDArray[np.float32]:
    array = tensor.to_float32()
    if not np.isfinite(array).all():
        raise NotASnapshot(f"holds numbers in {name} that are not finite")
    return array
