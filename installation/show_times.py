"""Reads when a show is open and when it starts. Knows the calendar's rules, not what time it is."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from installation.local_time import instant
from installation.opening_hours import DAYS, Hours, HoursError, Span, parse_days, parse_spans
from installation.show_fields import Table, kind_of, nearest
from installation.show_yaml import Mapping, Mark, Node, Scalar, quote

_HOW_START = "write a date and time as 2026-12-01 10:00"
_NEEDS_ZONE = "add the place's zone, as `timezone: Europe/Berlin`"


@lru_cache(maxsize=64)
def is_zone(name: str) -> bool:
    """Return whether the IANA time zone database knows `name`."""
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a path out of the database, a missing file, a folder
        return False
    return True


@lru_cache(maxsize=1)
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def read_timezone(table: Table) -> str | None:
    """Return the time zone a show names, None where it names none or an unknown one."""
    zone = table.text("timezone", longest=64)
    if not zone or is_zone(zone):
        return zone or None
    remedy = nearest(zone, _zones(), "use a name as Europe/Berlin or America/New_York")
    table.problem("timezone", f"is {quote(zone)}, which names no time zone", remedy)
    return None


def read_starts(table: Table, zone: str | None) -> float | None:
    """Return the epoch second a show's `starts` means on the clocks of `zone`."""
    node = table.node("starts")
    if node is None:
        return None
    wall = _wall_time(node)
    if wall is None:
        table.problem("starts", f"is {kind_of(node)}; expected a date and a time", _HOW_START)
    elif not table.has("timezone"):
        table.problem("starts", "needs a `timezone`, to know whose clock is meant", _NEEDS_ZONE)
    elif zone is not None:
        return instant(wall, zone)
    return None


def _wall_time(node: Node) -> datetime | None:
    form = r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?))?"
    parts = re.fullmatch(form, node.text, re.ASCII) if isinstance(node, Scalar) else None
    try:
        wall = datetime.fromisoformat(f"{parts[1]} {parts[2] or '00:00'}") if parts else None
    except ValueError:  # a day or an hour that does not exist
        return None
    return wall if wall is not None and 1970 < wall.year < 3000 else None


def read_hours(table: Table) -> Hours | None:
    """Return a show's weekly hours, None where it is always open."""
    node = table.node("hours")
    if node is None:
        return None
    if not table.has("timezone"):
        table.problem("hours", "needs a `timezone`, to know whose clock is meant", _NEEDS_ZONE)
    if not isinstance(node, Mapping):
        remedy = "write them as `hours: {Tu-Su: 10:00-18:00}`"
        table.problem("hours", f"is {kind_of(node)}; expected a table of days", remedy)
        return None
    rules = (_rule(table, key, value) for key, value in node.entries)
    return _week(table, [rule for rule in rules if rule is not None])


_Rule = tuple[Mark, tuple[int, ...], tuple[Span, ...]]


def _rule(table: Table, key: Scalar, node: Node) -> _Rule | None:
    mark = key.mark
    try:
        days = parse_days(key.text)
        mark = node.mark
        if not isinstance(node, Scalar):
            raise HoursError(f"{kind_of(node)} is no span of hours", "write hours as 10:00-18:00")
        return key.mark, days, parse_spans(node.text)
    except HoursError as error:
        table.report.add(mark, f"in `hours`, {error}", error.remedy)
        return None


def _week(table: Table, rules: Sequence[_Rule]) -> Hours:
    """Lay the rules over a closed week: ranges first, then the single days that beat them."""
    week: list[tuple[Span, ...]] = [()] * 7
    taken: dict[tuple[int, bool], int] = {}
    for mark, days, spans in sorted(rules, key=lambda rule: len(rule[1]) == 1):
        single = len(days) == 1
        for day in days:
            if (day, single) in taken:
                message = f"in `hours`, {DAYS[day]} is given twice, first on line "
                message += str(taken[day, single])
                table.report.add(mark, message, "let each day stand in one range only")
            taken.setdefault((day, single), mark.line)
            week[day] = spans
    return Hours(tuple(week))
