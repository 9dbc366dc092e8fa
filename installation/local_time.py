"""Wall-clock times of a place into instants. Knows the zone's rules, not what time it is."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def instant(wall: datetime, zone: str, *, latest: bool = False) -> float:
    """Return the epoch second at which clocks in `zone` show the naive time `wall`.

    A time that comes twice (clocks set back) means its first coming, or with `latest` its second.
    A time that never comes (clocks set forward) means the moment of the change.
    """
    place = ZoneInfo(zone)
    first, second = (wall.replace(tzinfo=place, fold=fold).timestamp() for fold in (0, 1))
    if first <= second:
        return second if latest else first
    return _change_between(int(second), int(first), place)  # PEP 495: in a gap the folds swap


def _change_between(low: int, high: int, place: ZoneInfo) -> float:
    """Return the second in (low, high] at which the offset of `place` changes."""
    before = _offset(low, place)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, place) == before else (low, middle)
    return float(high)


def _offset(epoch_s: int, place: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(epoch_s, place).utcoffset()
