"""Reads a pickle without running it. Knows no class, imports nothing it reads, calls nothing in it.

Python's unpickler is not used at all: this machine has the two dozen opcodes that snapshots need,
builds numbers, text, tuples, lists, dicts and sets by itself, and hands every named thing to a
`Maker`, which knows a closed list of names. Opcodes: CPython, Lib/pickletools.py (protocols 2-5).
"""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

MAX_STEPS = 400_000  # three networks of fifteen layers take about 50,000
MAX_STACK = 100_000  # a dict's batch is 2,000
MAX_MARKS = 200
MAX_SETS = 20_000
MAX_NAME_BYTES = 200
MAX_INTEGER_BYTES = 16
STOP = ord(".")


class SnapshotRefused(Exception):
    """A file that can't become a model; the message is one sentence for the person who must act."""


class NotASnapshot(SnapshotRefused):
    """The file is something else, or damaged."""


class UnsafeSnapshot(SnapshotRefused):
    """The file asks for something that no snapshot needs, or for too much of it."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name found in the file, e.g. "collections OrderedDict"; never the thing itself."""

    name: str


class Budget:
    """What one file may cost in all, its inner pickles included."""

    __slots__ = ("bytes_left", "sets_left", "steps_left", "storages_left")

    def __init__(self, file_bytes: int, storages: int) -> None:
        """Allow `file_bytes` of text turned into bytes, and `storages` tensor storages."""
        self.steps_left, self.sets_left = MAX_STEPS, MAX_SETS
        self.bytes_left, self.storages_left = file_bytes, storages

    def step(self) -> None:
        """Take one step; raises UnsafeSnapshot when none is left."""
        self.steps_left -= 1
        if self.steps_left < 0:
            raise UnsafeSnapshot("takes more steps than any snapshot does; refused")

    def spend(self, what: str, amount: int = 1) -> None:
        """Take from sets, bytes or storages; raises UnsafeSnapshot when nothing is left."""
        left = getattr(self, f"{what}_left") - amount
        if left < 0:
            raise UnsafeSnapshot(f"uses more {what} than any snapshot does; refused")
        setattr(self, f"{what}_left", left)


class Maker(Protocol):
    """Decides what named things mean. Every method raises SnapshotRefused where it refuses."""

    def admit(self, name: str) -> object:
        """Return what stands for the global `name`, "module attribute"."""
        ...

    def call(self, name: str, args: tuple[Any, ...]) -> object:
        """Return what calling the global would have made (REDUCE, NEWOBJ)."""
        ...

    def build(self, target: object, state: object) -> None:
        """Give a made thing its state (BUILD)."""
        ...

    def persistent(self, reference: object) -> object:
        """Return what a persistent id stands for (BINPERSID)."""
        ...


class PickleMachine:
    """One run over one pickle."""

    def __init__(self, data: memoryview, start: int, maker: Maker, budget: Budget) -> None:
        """Read from `data[start:]`, one byte an item."""
        self._data, self._at = data, start
        self._maker, self._budget = maker, budget
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        """Return the pickle's value and where it ends."""
        if self._byte() != 0x80 or self._byte() not in range(2, 6):
            raise NotASnapshot("is not a pickle of protocol 2 to 5")
        while (code := self._byte()) != STOP:
            self._budget.step()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise UnsafeSnapshot(f"uses the pickle opcode {_opcode(code)}; refused")
            operation(self)
            if len(self._stack) > MAX_STACK or len(self._marks) > MAX_MARKS:
                raise UnsafeSnapshot("is nested deeper than any snapshot is; refused")
        value = self._pop()
        if self._stack or self._marks:
            raise NotASnapshot("is damaged: its pickle ends in mid-thought")
        return value, self._at

    # Reading: every length is checked against what is left before anything is made.

    def _take(self, count: int) -> memoryview:
        if count > len(self._data) - self._at:
            raise NotASnapshot("is truncated: it ends inside a value")
        self._at += count
        return self._data[self._at - count : self._at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _number(self, layout: str) -> Any:  # noqa: ANN401  an int or a float, as layout says
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _text(self, layout: str) -> None:
        raw = self._take(self._number(layout))
        try:
            self._push(str(raw, "utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise NotASnapshot("is damaged: a text in it is not UTF-8") from error

    def _bytes(self, layout: str) -> None:
        self._push(self._take(self._number(layout)))

    def _line(self) -> str:
        """Read a line of a GLOBAL, within bounds."""
        window = bytes(self._data[self._at : self._at + MAX_NAME_BYTES])
        line, newline, _ = window.partition(b"\n")
        if not newline:
            raise NotASnapshot("is damaged: a name in it has no end")
        self._at += len(line) + 1
        return line.decode("utf-8", "replace")

    # The stack.

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:  # noqa: ANN401  whatever the file put there
        if not self._stack:
            raise NotASnapshot("is damaged: its pickle takes more than it gives")
        return self._stack.pop()

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise NotASnapshot("is damaged: a group in it has no beginning")
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _top(self, kind: type) -> Any:  # noqa: ANN401  an instance of `kind`
        if not self._stack or type(self._stack[-1]) is not kind:
            raise NotASnapshot(f"is damaged: items without a {kind.__name__} to go to")
        return self._stack[-1]

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise NotASnapshot("is damaged: its pickle takes more than it gives")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items)

    # Containers. Keys and members are texts only: other hashes recurse, or collide at will.

    def _set_items(self, flat: list[Any]) -> None:
        target = self._top(dict)
        if len(flat) % 2:
            raise NotASnapshot("is damaged: a key in it has no value")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[_plain_key(key)] = value

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _append(self) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _extend(self) -> None:
        items = self._since_mark()
        self._top(list).extend(items)

    def _empty_set(self) -> None:
        self._budget.spend("sets")
        self._push(set())

    def _add_items(self) -> None:
        members = self._since_mark()
        self._top(set).update(_plain_key(member) for member in members)

    # The memo.

    def _memoize(self, index: int | None = None) -> None:
        if not self._stack:
            raise NotASnapshot("is damaged: it remembers nothing")
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise NotASnapshot("is damaged: it recalls what it never stored")
        self._push(self._memo[index])

    # Numbers and names.

    def _long(self) -> None:
        count = self._byte()
        if count > MAX_INTEGER_BYTES:
            raise UnsafeSnapshot("holds a whole number larger than any snapshot needs; refused")
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def _global(self) -> None:
        self._push(self._maker.admit(f"{self._line()} {self._line()}"))

    def _stack_global(self) -> None:
        attribute, module = self._pop(), self._pop()
        if type(attribute) is not str or type(module) is not str:
            raise UnsafeSnapshot("names a global by something that is not text; refused")
        self._push(self._maker.admit(f"{module} {attribute}"))

    def _call(self) -> None:
        args, function = self._pop(), self._pop()
        if type(function) is not Global or type(args) is not tuple:
            raise UnsafeSnapshot("calls something that is not a known global; refused")
        self._push(self._maker.call(function.name, args))

    def _build(self) -> None:
        state = self._pop()
        if not self._stack:
            raise NotASnapshot("is damaged: a state without an owner")
        self._maker.build(self._stack[-1], state)

    def _persistent(self) -> None:
        self._push(self._maker.persistent(self._pop()))

    def _frame(self) -> None:
        if self._number("<Q") > len(self._data) - self._at:
            raise NotASnapshot("is truncated: it ends inside a frame")


def _plain_key(value: object) -> str:
    if type(value) is str:
        return value
    raise UnsafeSnapshot(f"uses a {type(value).__name__} as a key; refused")


def _opcode(code: int) -> str:
    known = pickletools.code2op.get(chr(code))  # type: ignore[attr-defined]  # untyped table
    return known.name if known else f"0x{code:02x}"


_OPERATIONS: dict[int, Callable[[PickleMachine], None]] = {
    ord(code): operation
    for code, operation in {
        "\x95": PickleMachine._frame,
        "(": PickleMachine._mark,
        "\x94": PickleMachine._memoize,
        "q": lambda machine: machine._memoize(machine._byte()),
        "r": lambda machine: machine._memoize(machine._number("<I")),
        "h": lambda machine: machine._recall(machine._byte()),
        "j": lambda machine: machine._recall(machine._number("<I")),
        "}": lambda machine: machine._push({}),
        "]": lambda machine: machine._push([]),
        ")": lambda machine: machine._push(()),
        "\x8f": PickleMachine._empty_set,
        "s": PickleMachine._set_item,
        "u": lambda machine: machine._set_items(machine._since_mark()),
        "a": PickleMachine._append,
        "e": PickleMachine._extend,
        "\x90": PickleMachine._add_items,
        "t": lambda machine: machine._push(tuple(machine._since_mark())),
        "\x85": lambda machine: machine._tuple(1),
        "\x86": lambda machine: machine._tuple(2),
        "\x87": lambda machine: machine._tuple(3),
        "N": lambda machine: machine._push(None),
        "\x88": lambda machine: machine._push(True),
        "\x89": lambda machine: machine._push(False),
        "J": lambda machine: machine._push(machine._number("<i")),
        "K": lambda machine: machine._push(machine._byte()),
        "M": lambda machine: machine._push(machine._number("<H")),
        "G": lambda machine: machine._push(machine._number(">d")),
        "\x8a": PickleMachine._long,
        "X": lambda machine: machine._text("<I"),
        "\x8c": lambda machine: machine._text("<B"),
        "\x8d": lambda machine: machine._text("<Q"),
        "B": lambda machine: machine._bytes("<I"),
        "C": lambda machine: machine._bytes("<B"),
        "\x8e": lambda machine: machine._bytes("<Q"),
        "\x96": lambda machine: machine._bytes("<Q"),
        "c": PickleMachine._global,
        "\x93": PickleMachine._stack_global,
        "R": PickleMachine._call,
        "\x81": PickleMachine._call,
        "b": PickleMachine._build,
        "Q": PickleMachine._persistent,
    }.items()
}
