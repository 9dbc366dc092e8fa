from datetime import UTC, datetime

import pytest

from installation.opening_hours import Span
from installation.show_fields import Report, Table
from installation.show_times import read_hours, read_starts, read_timezone
from installation.show_yaml import read_tree

KEYS = ("timezone", "hours", "starts")


def table(text):
    tree, problems = read_tree(text)
    assert problems == ()
    return Table(tree, "", KEYS, Report())


def messages(part):
    return [f"{problem.message}; {problem.remedy}" for problem in part.report.problems]


def test_single_days_beat_ranges_wherever_they_stand():
    for lines in ("Th: 10:00-20:00\n  Tu-Su: 10:00-18:00", "Tu-Su: 10:00-18:00\n  Th: 10:00-20:00"):
        part = table(f"timezone: Europe/Berlin\nhours:\n  {lines}\n")
        week = read_hours(part).week
        assert week[0] == ()
        assert week[1] == (Span(600, 1080),)
        assert week[3] == (Span(600, 1200),)
        assert messages(part) == []


def test_two_ranges_may_not_claim_one_day():
    part = table("timezone: UTC\nhours:\n  Mo-We: 10:00-18:00\n  We-Fr: 12:00-20:00\n")
    read_hours(part)
    assert messages(part) == [
        "in `hours`, We is given twice, first on line 3; let each day stand in one range only"
    ]


def test_hours_without_timezone_are_refused():
    part = table("hours: {Mo: 10:00-18:00}")
    read_hours(part)
    assert "`hours` needs a `timezone`" in messages(part)[0]


@pytest.mark.parametrize("text", ["10:00-18:00", "[Mo]", "null"])
def test_hours_that_are_no_table_are_told_how_to_write_them(text):
    part = table(f"timezone: UTC\nhours: {text}\n")
    assert read_hours(part) is None
    assert "write them as `hours: {Tu-Su: 10:00-18:00}`" in messages(part)[0]


def test_list_of_spans_is_refused_at_its_place():
    part = table("timezone: UTC\nhours: {Mo: [1, 2]}\n")
    read_hours(part)
    assert "a list is no span of hours" in messages(part)[0]
    assert (part.report.problems[0].line, part.report.problems[0].column) == (2, 13)


def test_misspelt_zone_is_told_the_nearest():
    part = table("timezone: Europe/Berln")
    assert read_timezone(part) is None
    assert messages(part) == [
        "`timezone` is `Europe/Berln`, which names no time zone; did you mean `Europe/Berlin`?"
    ]


@pytest.mark.parametrize(
    "zone", ["../../etc/passwd", "Europe", "/etc/localtime", "qqqqqq", "zone.tab"]
)
def test_paths_and_nonsense_are_no_zones(zone):
    part = table(f"timezone: {zone}")
    assert read_timezone(part) is None
    assert len(messages(part)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01 10:00", (2026, 12, 1, 9)),
        ("2026-12-01", (2026, 11, 30, 23)),
        ("2026-07-01T10:00:30", (2026, 7, 1, 8, 0, 30)),
    ],
)
def test_starts_is_read_on_the_clocks_of_the_place(text, expected):
    part = table(f"timezone: Europe/Berlin\nstarts: {text}\n")
    assert read_starts(part, "Europe/Berlin") == datetime(*expected, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-02-30", "01.12.2026", "2026-12-01 25:00", "[1]", "2026"]
)
def test_other_starts_are_told_how_to_write_them(text):
    part = table(f"timezone: UTC\nstarts: {text}\n")
    assert read_starts(part, "UTC") is None
    assert "write a date and time as 2026-12-01 10:00" in messages(part)[0]


def test_starts_without_timezone_is_refused():
    part = table("starts: 2026-12-01 10:00")
    assert read_starts(part, None) is None
    assert "`starts` needs a `timezone`" in messages(part)[0]
