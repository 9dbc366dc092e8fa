"""Tensors as snapshots store them, parsed without torch. Knows no network and runs nothing.

A storage inside a snapshot is a complete legacy `torch.save` stream, that is, a pickle inside the
pickle: it goes through the same machine with a closed list of its own.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pickle_machine import (
    Budget,
    Global,
    NotASnapshot,
    PickleMachine,
    SnapshotRefused,
    UnsafeSnapshot,
)

MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before its zip format
LEGACY_VERSION = 1001
MAX_DIMENSIONS = 8
BFLOAT16 = "bfloat16"  # numpy has no such type

STORAGE_TYPES = {
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch DoubleStorage": "<f8",
    "torch BFloat16Storage": BFLOAT16,
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}
FLOATS = ("<f4", "<f2", "<f8", BFLOAT16)


@dataclass(frozen=True, slots=True)
class Storage:
    """A flat run of numbers of one type, still in the file's own memory."""

    dtype: str
    numel: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A view of a storage; its bounds were checked when it was made."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in items

    @property
    def numel(self) -> int:
        """How many numbers it shows."""
        return prod(self.shape)

    def to_float32(self) -> NDArray[np.float32]:
        """Return a contiguous float32 copy; raises SnapshotRefused where it holds no floats."""
        if self.storage.dtype not in FLOATS:
            raise NotASnapshot(f"holds a tensor of type {self.storage.dtype} among its weights")
        is_bfloat16 = self.storage.dtype == BFLOAT16
        flat = np.frombuffer(self.storage.data, dtype="<u2" if is_bfloat16 else self.storage.dtype)
        strides = tuple(step * flat.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, strides, writeable=False
        )
        if is_bfloat16:
            return (view.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
            return np.array(view, dtype=np.float32, order="C")


def stored_tensor(storage: object, offset: object, shape: object, strides: object) -> StoredTensor:
    """Check a tensor's geometry against its storage and return it."""
    if type(storage) is not Storage:
        raise NotASnapshot("is damaged: a tensor in it has no storage")
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise NotASnapshot("is damaged: a tensor in it has no shape")
    numbers = (offset, *shape, *strides)
    whole = all(type(number) is int and 0 <= number <= 2**40 for number in numbers)
    if not whole or len(shape) > MAX_DIMENSIONS:
        raise UnsafeSnapshot("holds a tensor of impossible shape; refused")
    assert type(offset) is int
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if prod(shape) and (last >= storage.numel or prod(shape) > storage.numel):
        raise UnsafeSnapshot("holds a tensor that reaches beyond its storage; refused")
    return StoredTensor(storage, offset if prod(shape) else 0, shape, strides)


def read_storage(blob: memoryview, budget: Budget) -> Storage:
    """Parse one storage's legacy stream: five small pickles, a count, and that much data."""
    budget.spend("storages")
    maker = _StorageMaker()
    values: list[Any] = []
    end = 0
    for _ in range(5):
        value, end = PickleMachine(blob, end, maker, budget).run()
        values.append(value)
    magic, version, system, reference, keys = values
    if magic != MAGIC or version != LEGACY_VERSION:
        raise NotASnapshot("holds a tensor storage in a format that isn't torch's legacy one")
    if type(system) is not dict or system.get("little_endian") is not True:
        raise NotASnapshot("holds a tensor storage that isn't little-endian")
    if type(reference) is not _Reference or type(keys) is not list or len(keys) != 1:
        raise NotASnapshot("holds a tensor storage without its description")
    return _with_data(reference, blob[end:])


def _with_data(reference: "_Reference", rest: memoryview) -> Storage:
    width = 2 if reference.dtype == BFLOAT16 else np.dtype(reference.dtype).itemsize
    if len(rest) != 8 + reference.numel * width:
        raise NotASnapshot("holds a tensor storage with too few or too many bytes")
    (numel,) = struct.unpack("<q", rest[:8])
    if numel != reference.numel:
        raise NotASnapshot("holds a tensor storage whose two counts differ")
    return Storage(reference.dtype, numel, rest[8:])


@dataclass(frozen=True, slots=True)
class _Reference:
    dtype: str
    numel: int


class _StorageMaker:
    """Knows the names of storage types and one form of persistent id; nothing else."""

    def admit(self, name: str) -> Global:
        if name not in STORAGE_TYPES:
            raise UnsafeSnapshot(f"names the global {name[:80]!r} inside a tensor storage; refused")
        return Global(name)

    def call(self, name: str, args: tuple[Any, ...]) -> object:
        raise UnsafeSnapshot(f"calls {name!r} inside a tensor storage; refused")

    def build(self, target: object, state: object) -> None:
        raise UnsafeSnapshot("gives state to something inside a tensor storage; refused")

    def persistent(self, reference: object) -> _Reference:
        # The location ("cpu", "cuda:0") says where it lay, which is nobody's business here.
        match reference:
            case ("storage", Global(name), str(), str(), int(numel), None) if numel >= 0:
                return _Reference(STORAGE_TYPES[name], numel)
        raise SnapshotRefused("holds a tensor storage with an unknown description; refused")
