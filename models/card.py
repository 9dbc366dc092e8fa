"""The file that says what a model is and where it comes from. Knows no network and no torch.

A card never guesses: what nobody has stated is null in the file and None here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal["testcard", "stylegan3-t", "stylegan3-r", "stylegan2"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MAX_CARD_BYTES = 1 << 20
MAX_CARD_DEPTH = 24
MAX_CARD_EVENTS = 100_000


class InvalidCard(Exception):
    """A card that can't be used; the message names the file, the field and the remedy."""


class Source(BaseModel):
    """The file that the weights were taken from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None  # its name, without folders
    sha256: Sha256 | None = None
    network: str | None = None  # which of its networks, e.g. G_ema


class Card(BaseModel):
    """What a model is: its architecture, its weights' fingerprint, its origin and its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=200)
    kind: Kind
    arguments: dict[str, Any] = Field(default_factory=dict)  # of the generator's constructor
    resolution: int = Field(ge=4, le=4096)  # px
    z_dim: int = Field(ge=1, le=4096)
    c_dim: int = Field(ge=0, le=65536)
    w_dim: int = Field(ge=1, le=4096)
    num_ws: int = Field(ge=1, le=256)
    sha256: Sha256 | None = None  # of the .safetensors file beside the card; null only for testcard
    source: Source | None = None
    licence: str | None = None
    data_set: dict[str, Any] | None = None  # name, count, sha256, licence, recipe …
    training: dict[str, Any] | None = None  # kimg, seed, command, hours, machine …
    metrics: tuple[dict[str, Any], ...] | None = None  # rows, oldest first
    lineage: tuple[str, ...] | None = None  # models this one grew from, nearest first
    limits: tuple[str, ...] | None = None  # what it can't do, in sentences
    notes: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _weights_are_named(self) -> "Card":
        if self.kind != "testcard" and self.sha256 is None:
            raise ValueError("sha256 is missing: a card must name the weights it describes")
        return self


def read_card(path: Path) -> Card:
    """Read a card; raises InvalidCard with file, field and remedy, also when it is missing."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CARD_BYTES + 1)
    except OSError as error:
        raise InvalidCard(
            f"{path}: can't be read ({error.strerror}); expected a model card; "
            "write one, or import the model again with: ./wanderer import-model FILE.pkl"
        ) from error
    return parse_card(raw, str(path))


def parse_card(raw: bytes, name: str) -> Card:
    """Parse a card's bytes; `name` stands at the front of every message."""
    if len(raw) > MAX_CARD_BYTES:
        raise InvalidCard(
            f"{name}: longer than {MAX_CARD_BYTES} bytes; a card is a short YAML file"
        )
    try:
        _refuse_odd_yaml(raw, name)
        content = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidCard(f"{name}: is not readable YAML: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InvalidCard(f"{name}: found {type(content).__name__}, expected a mapping with a name")
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        raise InvalidCard(f"{name}: {'; '.join(_problems(error))}") from error


def write_card(card: Card, path: Path) -> None:
    """Write a card as YAML, unknowns as null; the file appears whole or not at all."""
    content = card.model_dump(mode="json")
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


class _Plain(yaml.SafeDumper):
    """Writes no anchors: read_card refuses aliases, because they can expand without bound."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _refuse_odd_yaml(raw: bytes, name: str) -> None:
    """Refuse aliases, depth, length and duplicate keys before anything is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(raw, Loader=yaml.SafeLoader)):
        opens = isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        closes = isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        depth += int(opens) - int(closes)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_CARD_DEPTH or count > MAX_CARD_EVENTS:
            raise InvalidCard(
                f"{name}: line {_line(event)}: aliases, deep nesting and bulk are refused"
            )
    for key in _duplicate_keys(yaml.compose(raw, Loader=yaml.SafeLoader)):
        raise InvalidCard(f"{name}: line {_line(key)}: `{key.value}` is given twice")


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0


def _duplicate_keys(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield key
            seen.add(str(key.value))
            yield from _duplicate_keys(value)


def _problems(error: ValidationError) -> Iterator[str]:
    """One short sentence for each refused field, at most eight of them."""
    for problem in error.errors(include_url=False)[:8]:
        place = ".".join(str(part) for part in problem["loc"]) or "the card"
        found = "" if problem["type"] == "missing" else f" (found {_short(problem['input'])})"
        yield f"{place}: {problem['msg']}{found}"


def _short(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, (dict, list)) else repr(value)[:60]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
