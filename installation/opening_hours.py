"""Weekly opening hours as a value. Knows no date, no time zone and no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` to `closes`, in minutes after midnight; `closes` > 1440 is the next day."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The spans of each weekday, Monday first; an empty tuple is a closed day."""

    week: tuple[tuple[Span, ...], ...]
