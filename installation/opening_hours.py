"""Weekly opening hours: as a value, and as curators write them. Knows no date, zone or clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_DAY_MINUTES = 24 * 60
_HOW_DAYS = "write a day (Mo Tu We Th Fr Sa Su) or a range of days (Tu-Su)"
_HOW_HOURS = "write closed, or hours as 10:00-18:00"
_OTHER_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {"di": "Tu", "mi": "We", "do": "Th", "so": "Su"} | {day.lower(): day for day in DAYS}
)


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` to `closes`, in minutes after midnight; `closes` > 1440 is the next day."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The spans of each weekday, Monday first; an empty tuple is a closed day."""

    week: tuple[tuple[Span, ...], ...]


class HoursError(ValueError):
    """A day or a span that can't be read; `remedy` says how to write it."""

    def __init__(self, message: str, remedy: str) -> None:
        """Keep the remedy beside the message."""
        self.remedy = remedy
        super().__init__(message)


def parse_days(text: str) -> tuple[int, ...]:
    """Return the weekdays (Monday is 0) that "Tu" or "Tu-Su" names; a range may go past Sunday.

    Raises HoursError.
    """
    names = [name.strip() for name in re.split("[-–—]", text)]
    for name in names:
        if name not in DAYS:
            raise HoursError(f"`{text[:40]}` names no day", _near_day(name))
    if len(names) > 2:
        raise HoursError(f"`{text[:40]}` is no range of days", _HOW_DAYS)
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return tuple((first + step) % 7 for step in range((last - first) % 7 + 1))


def _near_day(name: str) -> str:
    near = _OTHER_SPELLINGS.get(name[:2].lower())
    return f"did you mean {near}? {_HOW_DAYS}" if near else _HOW_DAYS


def parse_spans(text: str) -> tuple[Span, ...]:
    """Return the spans of a day: none for "closed", one for "10:00-18:00".

    A span that ends at or before its beginning runs past midnight. Raises HoursError.
    """
    if text.strip() == "closed":
        return ()
    parts = re.fullmatch(r"\s*(\d\d?):(\d\d)\s*[-–—]\s*(\d\d?):(\d\d)\s*", text, re.ASCII)
    if parts is None:
        raise HoursError(f"`{text[:40]}` is no span of hours", _HOW_HOURS)
    hour, minute, end_hour, end_minute = (int(part) for part in parts.groups())
    opens, closes = hour * 60 + minute, end_hour * 60 + end_minute
    if max(minute, end_minute) > 59 or opens >= _DAY_MINUTES or closes > _DAY_MINUTES:
        raise HoursError(f"`{text[:40]}` has a time that no clock shows", "use 00:00 to 24:00")
    if opens == closes:
        raise HoursError(f"`{text[:40]}` is empty", "write 00:00-24:00 for the whole day")
    return (Span(opens, closes if closes > opens else closes + _DAY_MINUTES),)
