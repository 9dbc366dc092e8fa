"""Show text into a tree of marked values. Knows YAML 1.2, bounds and places; knows no show.

PyYAML only scans and parses here; what a scalar means, what a key may be and how large a tree may
grow is decided below, because PyYAML reads YAML 1.1 (10:00 is 600, `off` is false), lets the last
of two equal keys win and lets ten aliases unfold into a billion nodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from installation.invalid_show import Problem
from installation.yaml_scalars import resolve

MAX_BYTES = 256_000  # a show with fifty written-out points of 512 numbers still fits
MAX_DEPTH = 16
MAX_NODES = 50_000  # aliases counted as often as they are used


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text, line and column from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, resolved by the YAML 1.2 core schema, beside the text it was read from."""

    value: str | int | float | bool | None
    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    items: tuple["Node", ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and their nodes in the order of the text, no key twice."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    mark: Mark


Node = Scalar | Sequence | Mapping


def read_tree(text: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """Return the tree of a text and the problems met; without a readable tree it is None."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        return None, (_too_large(f"the show has {size} bytes", f"{MAX_BYTES} bytes"),)
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except _Refused as refusal:
        builder.problems.append(refusal.problem)
        return None, tuple(builder.problems)
    return builder.root, tuple(builder.problems)


def _too_large(found: str, limit: str) -> Problem:
    return Problem(0, 0, f"{found}; the most is {limit}", "split the show or shorten its lists")


class _Refused(Exception):
    """Ends the reading of a tree: what follows could not be understood."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


class _Events(Reader, Scanner, Parser):
    """PyYAML's text-to-events half, without its composer and constructor."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        source = _Events(text)
        while source.check_event():
            yield source.get_event()  # type: ignore[no-untyped-call]  # stubs lack it
    except yaml.MarkedYAMLError as error:
        raise _Refused(_syntax_problem(error)) from error
    except yaml.reader.ReaderError as error:
        raise _Refused(_character_problem(text, error)) from error
    except (ValueError, OverflowError) as error:  # an escape or a directive beyond all numbers
        problem = Problem(0, 0, "a number in an escape or directive is out of range", "remove it")
        raise _Refused(problem) from error


_HINTS = (
    (
        "mapping values are not allowed",
        "a colon followed by a space stands where no key may be",
        "put quotes round a text with a colon in it, or check the indentation",
    ),
    ("'\\t'", "a tab stands where only spaces may", "indent with spaces"),
    ("'%'", "a text begins with %", "put quotes round it"),
    ("'@'", "a text begins with @", "put quotes round it"),
    ("'`'", "a text begins with a backquote", "put quotes round it"),
    ("undefined alias", "an alias (*name) has no anchor (&name) before it", "write it out"),
    ("expected a single document", "the file holds a second document (---)", "keep one"),
)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    found = error.problem or error.context or "unreadable text"
    for sign, message, remedy in _HINTS:
        if sign in found:
            return Problem(line, column, message, remedy)
    context = f" {error.context}" if error.context else ""
    remedy = "check quotes, brackets and indentation here and on the line before"
    return Problem(line, column, f"not YAML: {found}{context}", remedy)


def _character_problem(text: str, error: yaml.reader.ReaderError) -> Problem:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return Problem(line, column, f"the character U+{code:04X} may not stand in a show", "remove it")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    mark: Mark
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    key: Scalar | None = None
    awaits_value: bool = False
    seen: dict[str, Mark] = field(default_factory=dict)
    count: int = 1


class _Builder:
    """Builds the tree from events with a stack of its own, so that depth costs no recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Fold one event into the tree."""
        match event:
            case yaml.DocumentStartEvent():
                self._start_document(_mark(event))
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.ScalarEvent():
                self._note_tag(event.tag, _mark(event))
                self._add(self._scalar(event), 1, event.anchor)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()

    def _start_document(self, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "the file holds a second document (---)"
            raise _Refused(Problem(mark.line, mark.column, message, "keep one show a file"))

    def _note_tag(self, tag: str | None, mark: Mark) -> None:
        if tag is not None and tag != "!":
            message = "a tag (!...) stands here; shows have none"
            self.problems.append(Problem(mark.line, mark.column, message, "remove it"))

    def _alias(self, event: yaml.AliasEvent) -> None:
        mark = _mark(event)
        if event.anchor not in self._anchors:
            message = "an alias (*name) has no finished anchor (&name) before it"
            raise _Refused(Problem(mark.line, mark.column, message, "write the value out"))
        node, count = self._anchors[event.anchor]
        self._add(node, count, None)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        mark = _mark(event)
        plain = event.implicit[0] and event.style is None
        return Scalar(resolve(event.value) if plain else event.value, event.value, mark)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        mark = _mark(event)
        self._note_tag(event.tag, mark)
        if len(self._stack) >= MAX_DEPTH:
            message = f"lists and tables are nested more than {MAX_DEPTH} deep"
            raise _Refused(Problem(mark.line, mark.column, message, "flatten them"))
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Open(mark, event.anchor, is_mapping))

    def _close(self) -> None:
        done = self._stack.pop()
        node: Node
        if done.is_mapping:
            node = Mapping(tuple(done.entries), done.mark)
        else:
            node = Sequence(tuple(done.items), done.mark)
        self._add(node, done.count, done.anchor)

    def _add(self, node: Node, count: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, count)
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        top.count += count
        if sum(part.count for part in self._stack) > MAX_NODES:
            raise _Refused(_too_large("the show has too many values", f"{MAX_NODES} values"))
        if top.is_mapping:
            self._add_to_mapping(top, node)
        else:
            top.items.append(node)

    def _add_to_mapping(self, top: _Open, node: Node) -> None:
        if top.awaits_value:
            if top.key is not None:
                top.entries.append((top.key, node))
            top.key, top.awaits_value = None, False
            return
        top.awaits_value = True
        top.key = self._checked_key(top, node)

    def _checked_key(self, top: _Open, node: Node) -> Scalar | None:
        """Return the key, or None (and drop its value) where it is refused."""
        line, column = node.mark.line, node.mark.column
        if not isinstance(node, Scalar):
            message = "a list or table stands where a key should"
            self.problems.append(Problem(line, column, message, "keys are single words"))
            return None
        if node.text in top.seen:
            message = f"{quote(node.text)} stands here twice, first on line "
            message += str(top.seen[node.text].line)
            self.problems.append(Problem(line, column, message, "keep one of the two"))
            return None
        top.seen[node.text] = node.mark
        return node


def quote(text: str) -> str:
    """Return a text for a message: between backquotes, at most 60 characters, printable."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return "`" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short) + "`"


def _mark(event: yaml.Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1) if start else Mark(0, 0)
