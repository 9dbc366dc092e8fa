"""What a network's record says about itself, as plain values, and how it is compared.

Knows no kind of network. Everything it reads was written by somebody else and is bounded.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from models.architecture import InvalidArguments, check_arguments
from models.pickle_machine import SnapshotRefused
from models.pickle_stubs import Record, StoredArray

POSITIONAL = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs")
MAX_NESTING = 4


class UnfamiliarNetwork(SnapshotRefused):
    """A network that isn't one of ours, or a modified one; the message names what differs."""


def submodules(record: Record) -> dict[str, Record]:
    """Return a record's submodules that are records themselves."""
    modules = record.state.get("_modules")
    known = modules if type(modules) is dict else {}
    return {name: child for name, child in known.items() if type(child) is Record}


def plain(value: object, depth: int = 0) -> Any:  # noqa: ANN401  numbers, texts and tables of them
    """Return a stored value as plain Python: arrays and lists as tuples, bounded in depth."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth < MAX_NESTING and type(value) is StoredArray and value.value is not None:
        return plain(value.value.tolist(), depth + 1)
    if depth < MAX_NESTING and type(value) in (list, tuple) and len(value) <= 64:  # type: ignore[arg-type]  # sized by now
        return tuple(plain(item, depth + 1) for item in value)  # type: ignore[attr-defined]
    if depth < MAX_NESTING and type(value) is dict and len(value) <= 64:
        return {name: plain(item, depth + 1) for name, item in value.items()}
    raise UnfamiliarNetwork(f"stores an argument as a {type(value).__name__}")


def init_arguments(root: Record) -> dict[str, Any]:
    """Return the keyword arguments a network was made with, positional ones by their names."""
    positional = plain(root.state.get("_init_args", ()))
    keywords = plain(root.state.get("_init_kwargs", {}))
    if type(positional) is not tuple or type(keywords) is not dict:
        raise UnfamiliarNetwork("does not say which arguments it was made with")
    if len(positional) > len(POSITIONAL):
        raise UnfamiliarNetwork("was made with more positional arguments than a generator takes")
    arguments = dict(zip(POSITIONAL, positional, strict=False)) | keywords
    arguments["mapping_kwargs"] = dict(arguments.get("mapping_kwargs") or {})
    return arguments


def accept(kind: str, arguments: Mapping[str, Any]) -> None:
    """Check arguments against the bounds of our generators; raises UnfamiliarNetwork."""
    try:
        check_arguments(kind, arguments)
    except InvalidArguments as error:
        raise UnfamiliarNetwork(
            f"was made with arguments that aren't known here: {error}"
        ) from error


def compare(place: str, record: Record, expected: Mapping[str, Any], essential: set[str]) -> None:
    """Compare a record's stored attributes with ours; raises UnfamiliarNetwork naming the first."""
    for name, value in expected.items():
        if name not in record.state:
            if name in essential:
                raise UnfamiliarNetwork(f"lacks {place}.{name}, so it can't be compared")
            continue
        found = plain(record.state[name])
        if not _same(found, value):
            raise UnfamiliarNetwork(
                f"has {place}.{name} = {str(found)[:60]} where our schedule has {value}"
            )


def _same(found: object, expected: object) -> bool:
    if isinstance(expected, tuple):
        # One number stands for both axes, and one pair for two pairs.
        some = found if isinstance(found, tuple) and found else (found,)
        several = some * (len(expected) // len(some))
        return len(several) == len(expected) and all(map(_same, several, expected))
    if isinstance(expected, (bool, str)) or expected is None:
        return type(found) is type(expected) and found == expected
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return False
    assert isinstance(expected, (int, float))
    return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)


def complete_mapping(arguments: dict[str, Any], mapping: Record) -> None:
    """Write down what the defaults of two programs leave unsaid: depth, and the mean's decay."""
    if type(arguments["mapping_kwargs"]) is not dict:
        raise UnfamiliarNetwork("has mapping arguments that aren't a table")
    layers = sum(1 for name in submodules(mapping) if re.fullmatch(r"fc\d+", name))
    arguments["mapping_kwargs"].setdefault("num_layers", layers)
    if "w_avg_beta" in mapping.state:
        arguments["mapping_kwargs"]["w_avg_beta"] = plain(mapping.state["w_avg_beta"])
