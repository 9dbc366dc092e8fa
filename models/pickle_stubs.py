"""What the names in a snapshot stand for: a closed list, each with a handler of ours.

Nothing here imports, looks up or runs what a name means in Python; a name is only a key of a table.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pickle_machine import Budget, Global, NotASnapshot, UnsafeSnapshot
from models.torch_storage import StoredTensor, read_storage, stored_tensor

PERSISTENCE_VERSION = 6  # the only one both public repositories ever wrote
MAX_SOURCE_CHARS = 1 << 20
MAX_ARRAY_BYTES = 1 << 20
NUMPY_TYPES = ("f8", "f4", "i8", "i4", "u1", "b1")


@dataclass(frozen=True, slots=True)
class Record:
    """One network or submodule: its class's name and its state, without its code."""

    class_name: str
    source_sha256: str  # of the Python text that came with it and was never run
    state: dict[str, Any]


class ArrayType:
    """A numpy dtype, by its code."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        """Take a code of NUMPY_TYPES."""
        self.code = code

    def decode(self, raw: object, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return raw bytes as an array of this type and shape; their lengths must agree."""
        whole = all(type(size) is int and size >= 0 for size in shape)
        if not isinstance(raw, (bytes, memoryview)) or not whole or len(shape) > 8:
            raise NotASnapshot("is damaged: an array in it has no data")
        dtype = np.dtype(self.code)
        if len(raw) > MAX_ARRAY_BYTES or len(raw) != prod(shape) * dtype.itemsize:
            raise UnsafeSnapshot("holds a numpy array of impossible size; refused")
        return np.frombuffer(raw, dtype=dtype).reshape(shape)


def _reordered(array: NDArray[Any], by_column: bool) -> NDArray[Any]:
    """Undo column-major storage: the bytes of a transposed array, read row by row."""
    return array.reshape(array.shape[::-1]).T if by_column else array


class StoredArray:
    """A small numpy array in the making; `value` is None until its state has come."""

    __slots__ = ("value",)

    def __init__(self, value: NDArray[Any] | None = None) -> None:
        """Start with a value, or empty."""
        self.value = value


class SnapshotMaker:
    """Makes the values of a snapshot's outer pickle."""

    def __init__(self, budget: Budget) -> None:
        """Share `budget` with every storage inside."""
        self._budget = budget
        self._sources: dict[int, tuple[str, str]] = {}  # id -> the text itself and its sha-256

    def admit(self, name: str) -> Global:
        """Let a listed name pass, as a name; raises SnapshotRefused for all others."""
        if name in _HANDLERS or name in _TYPES_ONLY:
            return Global(name)
        if name.startswith("dnnlib.tflib"):
            raise NotASnapshot(
                "is a TensorFlow network pickle; convert it to PyTorch with the tool that came "
                "with StyleGAN2-ADA-PyTorch (legacy.py) first"
            )
        if name.startswith(("torch.jit", "__torch__")):
            raise NotASnapshot("holds a TorchScript module (a metric's detector), not a generator")
        raise UnsafeSnapshot(f"names the unknown global {name[:80]!r}; refused")

    def call(self, name: str, args: tuple[Any, ...]) -> object:
        """Return what a listed name makes of `args`."""
        if name not in _HANDLERS:
            raise UnsafeSnapshot(f"calls {name!r}, which no snapshot does; refused")
        return _HANDLERS[name](self, args)

    def build(self, target: object, state: object) -> None:
        """Give state to an array, a dtype or a dict without attributes; to nothing else."""
        match target, state:
            case ArrayType(), (int(), str(order), *_) if order in "<|=" and order:
                return
            case StoredArray(value=None), (
                int(),
                tuple(shape),
                ArrayType() as kind,
                bool(by_column),
                raw,
            ):
                target.value = _reordered(kind.decode(raw, shape), by_column)
                return
            case dict(), None | {} if not state:
                return
            case _:
                raise UnsafeSnapshot(f"gives attributes to a {type(target).__name__}; refused")

    def persistent(self, reference: object) -> object:
        """Refuse: persistent ids belong to torch.save archives."""
        raise NotASnapshot("is a torch.save archive, not a snapshot pickle")

    def module(self, args: tuple[Any, ...]) -> Record:
        """Keep a module's class name, state, and the fingerprint of the code it came with."""
        match args:
            case (
                {
                    "type": "class",
                    "version": int(version),
                    "module_src": str(source),
                    "class_name": str(class_name),
                    "state": dict(state),
                },
            ):
                pass
            case _:
                raise NotASnapshot("holds a module that isn't described as snapshots do")
        if version != PERSISTENCE_VERSION:
            raise NotASnapshot(
                f"has persistence version {version}; only {PERSISTENCE_VERSION} is known"
            )
        return Record(class_name[:100], self._fingerprint(source), state)

    def _fingerprint(self, source: str) -> str:
        if len(source) > MAX_SOURCE_CHARS:
            raise UnsafeSnapshot("carries more source text than any snapshot does; refused")
        if id(source) not in self._sources:
            digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
            self._sources[id(source)] = (source, digest)
        return self._sources[id(source)][1]

    def storage(self, args: tuple[Any, ...]) -> object:
        """Parse the second pickle that a storage is."""
        match args:
            case (bytes() | memoryview() as blob,):
                return read_storage(memoryview(blob), self._budget)
        raise NotASnapshot("is damaged: a tensor storage in it has no bytes")

    def latin1(self, args: tuple[Any, ...]) -> bytes:
        """Undo how protocol 2 writes bytes: as text of the same code points."""
        match args:
            case (str(text), "latin1"):
                self._budget.spend("bytes", len(text))
                try:
                    return text.encode("latin-1")
                except UnicodeEncodeError as error:
                    raise NotASnapshot("is damaged: bytes in it are not bytes") from error
        raise UnsafeSnapshot("calls '_codecs encode' for something else than bytes; refused")


def _tensor(maker: SnapshotMaker, args: tuple[Any, ...]) -> StoredTensor:
    if len(args) not in (4, 6, 7):
        raise NotASnapshot("is damaged: a tensor in it is incomplete")
    return stored_tensor(*args[:4])


def _parameter(maker: SnapshotMaker, args: tuple[Any, ...]) -> StoredTensor:
    match args:
        case (StoredTensor() as tensor, *_) if len(args) <= 4:
            return tensor
    raise NotASnapshot("is damaged: a parameter in it has no tensor")


def _mapping(maker: SnapshotMaker, args: tuple[Any, ...]) -> dict[str, Any]:
    """OrderedDict, EasyDict, defaultdict: a plain dict, from nothing or from pairs."""
    match args:
        case () | (None,) | (Global(),):
            return {}
        case (list(pairs),) if all(
            type(pair) in (list, tuple) and len(pair) == 2 and type(pair[0]) is str
            for pair in pairs
        ):
            return {key: value for key, value in pairs}
    raise NotASnapshot("is damaged: a dictionary in it isn't one")


def _object(maker: SnapshotMaker, args: tuple[Any, ...]) -> dict[str, Any]:
    """copyreg's form of a dict subclass."""
    match args:
        case (Global("dnnlib.util EasyDict"), Global(), None | {}):
            return dict(args[2] or {})
    raise UnsafeSnapshot("reconstructs an object of unknown class; refused")


def _set(maker: SnapshotMaker, args: tuple[Any, ...]) -> set[str]:
    maker._budget.spend("sets")
    match args:
        case () | ([],):
            return set()
        case ([*members],) if all(type(member) is str for member in members):
            return set(members)
    raise NotASnapshot("is damaged: a set in it isn't one")


def _dtype(maker: SnapshotMaker, args: tuple[Any, ...]) -> ArrayType:
    code = args[0] if args else None
    if type(code) is not str or code not in NUMPY_TYPES:
        found = repr(code)[:20] if type(code) is str else type(code).__name__
        raise UnsafeSnapshot(f"holds numpy data of type {found}; refused")
    return ArrayType(code)


def _scalar(maker: SnapshotMaker, args: tuple[Any, ...]) -> Any:  # noqa: ANN401  a Python number
    match args:
        case (ArrayType() as kind, bytes() | memoryview() as raw):
            return kind.decode(raw, (1,))[0].item()
    raise NotASnapshot("is damaged: a number in it is incomplete")


def _empty_array(maker: SnapshotMaker, args: tuple[Any, ...]) -> StoredArray:
    match args:
        case (Global("numpy ndarray"), (0,), bytes() | memoryview()):
            return StoredArray()
    raise UnsafeSnapshot("makes an array of unknown class; refused")


def _whole_array(maker: SnapshotMaker, args: tuple[Any, ...]) -> StoredArray:
    match args:
        case (bytes() | memoryview() as raw, ArrayType() as kind, tuple(shape), "C" | "F" as order):
            return StoredArray(_reordered(kind.decode(raw, shape), order == "F"))
    raise NotASnapshot("is damaged: an array in it is incomplete")


def _no_bytes(maker: SnapshotMaker, args: tuple[Any, ...]) -> bytes:
    if args:
        raise UnsafeSnapshot("makes bytes from something; refused")
    return b""


def _plain(maker: SnapshotMaker, args: tuple[Any, ...]) -> object:
    """torch.Size, torch.device: kept as the arguments they were made from."""
    return args


Handler = Callable[[SnapshotMaker, tuple[Any, ...]], object]

# May be named, as arguments of others, but never called.
_TYPES_ONLY = {"numpy ndarray", "builtins dict", "builtins object", "builtins list"}

# Two spellings each: numpy 1 wrote numpy.core, numpy 2 numpy._core; protocol 2 has __builtin__.
_HANDLERS: dict[str, Handler] = {
    "torch_utils.persistence _reconstruct_persistent_obj": SnapshotMaker.module,
    "torch.storage _load_from_bytes": SnapshotMaker.storage,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter Parameter": _parameter,
    "torch Size": _plain,
    "torch device": _plain,
    "collections OrderedDict": _mapping,
    "collections defaultdict": _mapping,
    "dnnlib.util EasyDict": _mapping,
    "copyreg _reconstructor": _object,
    "copy_reg _reconstructor": _object,
    "builtins set": _set,
    "__builtin__ set": _set,
    "builtins bytes": _no_bytes,
    "__builtin__ bytes": _no_bytes,
    "_codecs encode": SnapshotMaker.latin1,
    "numpy dtype": _dtype,
    "numpy._core.multiarray scalar": _scalar,
    "numpy.core.multiarray scalar": _scalar,
    "numpy._core.multiarray _reconstruct": _empty_array,
    "numpy.core.multiarray _reconstruct": _empty_array,
    "numpy._core.numeric _frombuffer": _whole_array,
    "numpy.core.numeric _frombuffer": _whole_array,
}
