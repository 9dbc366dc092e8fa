"""What a .safetensors file says it holds, read without loading it. Knows no torch and no network.

Layout (github.com/huggingface/safetensors, "Format"): 8 bytes little-endian length, that many bytes
of JSON, then the tensors' bytes without gaps.
"""

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}  # weights are floats; anything else is refused
MAX_HEADER_BYTES = 4 << 20
MAX_TENSORS = 4096
MAX_DIMENSIONS = 8


class InvalidWeights(Exception):
    """A weights file that is damaged or not one; the message says what was found."""


@dataclass(frozen=True)
class Entry:
    """One tensor of the file."""

    dtype: str  # "F32", "F16" or "BF16"
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, Entry]:
    """Return name -> entry; every offset is checked against the file's size first."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise InvalidWeights(f"found {size} bytes, too few for a safetensors file")
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise InvalidWeights(f"its header claims {length} bytes; truncated or not safetensors")
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise InvalidWeights("its header is not JSON; damaged or not safetensors") from error
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise InvalidWeights(f"its header is not a table of at most {MAX_TENSORS} tensors")
    header.pop("__metadata__", None)
    return _entries(header, size - 8 - length)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a whole file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is given twice")
    return table


def _entries(header: dict[str, Any], data_bytes: int) -> dict[str, Entry]:
    """Check each entry, and that together they cover the data once, without gaps or overlaps."""
    spans = []
    entries = {}
    for name, entry in header.items():
        entries[name], span = _entry(name, entry)
        spans.append(span)
    place = 0
    for start, end in sorted(spans):
        if start != place:
            raise InvalidWeights("its tensors overlap or leave gaps")
        place = end
    if place != data_bytes:
        raise InvalidWeights(f"holds {data_bytes} bytes of data where its header tells of {place}")
    return entries


def _entry(name: str, entry: object) -> tuple[Entry, tuple[int, int]]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [start, end]}:
            pass
        case _:
            raise InvalidWeights(f"tensor {name[:80]!r} lacks dtype, shape or offsets")
    if dtype not in ITEM_BYTES:
        raise InvalidWeights(
            f"tensor {name[:80]!r} is {dtype[:8]}; expected {', '.join(ITEM_BYTES)}"
        )
    whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
    if not whole or len(shape) > MAX_DIMENSIONS or end - start != prod(shape) * ITEM_BYTES[dtype]:
        raise InvalidWeights(f"tensor {name[:80]!r} has a shape that doesn't fit its bytes")
    return Entry(dtype, tuple(shape)), (start, end)
