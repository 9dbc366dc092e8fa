from datetime import UTC, datetime

import pytest

from installation.local_time import instant


def utc(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


def test_ordinary_times_follow_the_zone():
    assert instant(datetime(2026, 7, 1, 10), "Europe/Berlin") == utc(2026, 7, 1, 8)
    assert instant(datetime(2026, 12, 1, 10), "Europe/Berlin") == utc(2026, 12, 1, 9)


@pytest.mark.parametrize("minute", [0, 1, 30, 59])
def test_time_that_never_comes_is_the_moment_of_the_change(minute):
    gap = datetime(2026, 3, 29, 2, minute)
    assert instant(gap, "Europe/Berlin") == utc(2026, 3, 29, 1)
    assert instant(gap, "Europe/Berlin", latest=True) == utc(2026, 3, 29, 1)


def test_time_that_comes_twice_is_first_or_latest():
    twice = datetime(2026, 10, 25, 2, 30)
    assert instant(twice, "Europe/Berlin") == utc(2026, 10, 25, 0, 30)
    assert instant(twice, "Europe/Berlin", latest=True) == utc(2026, 10, 25, 1, 30)


def test_half_hour_change_of_lord_howe_is_found():
    gap = datetime(2026, 10, 4, 2, 10)
    assert instant(gap, "Australia/Lord_Howe") == utc(2026, 10, 3, 15, 30)
