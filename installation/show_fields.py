"""Reads the fields of one table of a show file and collects what is wrong with them.

Knows texts, numbers, durations and nearest spellings; which keys there are is for `show` to say.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from installation.invalid_show import Problem
from installation.show_yaml import Mapping as TableNode
from installation.show_yaml import Mark, Node, Scalar, quote
from installation.show_yaml import Sequence as ListNode

Homes = Mapping[str, str]  # from a key to the table it belongs in
NO_HOMES: Homes = MappingProxyType({})

_UNITS = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)\s*")
_HOW_LONG = "write a duration as 90 s, 10 min or 1 h 30 min"


@dataclass(slots=True)
class Report:
    """The problems found so far."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, mark: Mark, message: str, remedy: str = "") -> None:
        """Note a problem at a place of the text."""
        self.problems.append(Problem(mark.line, mark.column, message, remedy))


def nearest(word: str, words: Sequence[str], otherwise: str = "") -> str:
    """Return "did you mean `x`?" for the nearest of `words`, else `otherwise` or a list of all."""
    near = difflib.get_close_matches(word[:64], words, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return otherwise or f"use one of: {', '.join(words)}"


def _remedy(key: str, keys: Sequence[str], homes: Homes) -> str:
    near = difflib.get_close_matches(key[:64], (*keys, *homes), n=1, cutoff=0.6)
    if near and near[0] in homes:
        return f"write `{near[0]}` within `{homes[near[0]]}`"
    return nearest(key, keys)


def kind_of(node: Node) -> str:
    """Return what a node is, in the words of a message."""
    match node:
        case TableNode():
            return "a table of keys"
        case ListNode():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return f"{node.text} (true or false)"
    return quote(node.text)


def parse_duration(text: str) -> float | None:
    """Return the seconds of "10 min", "1 h 30 min" or "0.5 s", or None where it is no duration.

    Units (d, h, min, s, ms) go from large to small, none of them twice.
    """
    seconds, place, last = 0.0, 0, math.inf
    while place < len(text):
        part = _PART.match(text, place)
        if part is None or not _UNITS.get(part[2], math.inf) < last:
            return None
        last = _UNITS[part[2]]
        seconds += float(part[1]) * last
        place = part.end()
    return seconds if place else None


class Table:
    """A table of a show: `path` names it in messages ("scenes[0].walk"); unknown keys are refused.

    Each method returns the default where the key is missing, or where it is wrong, which is noted.
    """

    def __init__(
        self,
        node: Node,
        path: str,
        keys: Sequence[str],
        report: Report,
        homes: Homes = NO_HOMES,
    ) -> None:
        """Take the entries of `node`, noting keys not in `keys`; `homes` says where others live."""
        self.path = path
        self.mark = node.mark
        self.report = report
        self._entries: dict[str, tuple[Mark, Node]] = {}
        self._is_table = isinstance(node, TableNode)
        if not isinstance(node, TableNode):
            what = f"expected a table with {', '.join(keys)}"
            report.add(node.mark, f"{self._name()} is {kind_of(node)}; {what}")
            return
        for key, value in node.entries:
            if key.text in keys:
                self._entries[key.text] = (key.mark, value)
            else:
                message = f"unknown key {quote(key.text)} in {self._name()}"
                report.add(key.mark, message, _remedy(key.text, keys, homes))

    def _name(self, key: str = "") -> str:
        dotted = ".".join(part for part in (self.path, key) if part)
        return f"`{dotted}`" if dotted else "the show"

    def has(self, key: str) -> bool:
        """Return whether the key is written."""
        return key in self._entries

    def node(self, key: str) -> Node | None:
        """Return the node of a key, None where it is missing."""
        return self._entries[key][1] if key in self._entries else None

    def mark_of(self, key: str) -> Mark:
        """Return where the key's value stands; where it is missing, where the table begins."""
        node = self.node(key)
        return node.mark if node else self.mark

    def problem(self, key: str, message: str, remedy: str = "") -> None:
        """Note a problem of a key's value: "`path.key` " and the message."""
        self.report.add(self.mark_of(key), f"{self._name(key)} {message}", remedy)

    def require(self, key: str, example: str) -> None:
        """Note it where the key is missing."""
        if self._is_table and key not in self._entries:
            self.report.add(self.mark, f"{self._name()} has no `{key}`", f"write {example}")

    def text(self, key: str, default: str = "", *, longest: int = 200) -> str:
        """Return a text of one line that is not empty; numbers are read as they are written."""
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node, Scalar) or node.value is None:
            self.problem(key, f"is {kind_of(node)}; expected a text")
        elif not node.text.strip() or not node.text.isprintable() or len(node.text) > longest:
            remedy = f"write one line of at most {longest} characters"
            self.problem(key, f"is {quote(node.text)}; expected a printable text", remedy)
        else:
            return node.text.strip()
        return default

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        text = self.text(key, default)
        if text in choices:
            return text
        self.problem(
            key, f"is {quote(text)}; expected one of {', '.join(choices)}", nearest(text, choices)
        )
        return default

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        node = self.node(key)
        if node is None:
            return default
        value = number_of(node)
        if value is not None and low <= value <= high:
            return float(value)
        self.problem(key, f"is {kind_of(node)}; expected a number from {low:g} to {high:g}")
        return default

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        node = self.node(key)
        if node is None:
            return default
        value = number_of(node)
        if isinstance(value, int) and low <= value <= high:
            return value
        self.problem(key, f"is {kind_of(node)}; expected a whole number from {low} to {high}")
        return default

    def duration(self, key: str, default: float, low: float, high: float) -> float:
        """Return a duration in seconds, in [low, high]."""
        node = self.node(key)
        if node is None:
            return default
        seconds = parse_duration(node.text) if isinstance(node, Scalar) else None
        if seconds is None:
            self.problem(key, f"is {kind_of(node)}; expected a duration with its unit", _HOW_LONG)
        elif low <= seconds <= high:
            return seconds
        else:
            self.problem(key, f"is {kind_of(node)}; expected {low:g} s to {high:g} s", _HOW_LONG)
        return default

    def table(self, key: str, keys: Sequence[str]) -> "Table | None":
        """Return the table under a key, None where it is missing."""
        node = self.node(key)
        path = f"{self.path}.{key}" if self.path else key
        return None if node is None else Table(node, path, keys, self.report)

    def items(self, key: str) -> tuple[Node, ...]:
        """Return the items of a list under a key; none where it is missing or no list."""
        node = self.node(key)
        if isinstance(node, ListNode):
            return node.items
        if node is not None:
            self.problem(key, f"is {kind_of(node)}; expected a list")
        return ()


def number_of(node: Node) -> int | float | None:
    """Return the finite number a node is, None where it is something else."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool | str | None):
        return None
    return node.value if isinstance(node.value, int) or math.isfinite(node.value) else None
