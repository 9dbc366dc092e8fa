"""Words of the command line that become values: sizes and moments. Knows no command."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from installation.clock import SystemClock

LARGEST_PX = 16384


class BadArgument(Exception):
    """A word on the command line that means nothing; the message says how to write it."""


def size_px(text: str) -> tuple[int, int]:
    """(width, height) from "1920x1080" ("×" too), each 1 to 16384. Raises BadArgument."""
    found = re.fullmatch(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", text.strip())
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(1 <= edge <= LARGEST_PX for edge in size):
        raise BadArgument(
            f"size {text!r}: expected width and height in pixels, 1 to {LARGEST_PX}, "
            "written like 1920x1080"
        )
    return size


def moment(text: str | None, timezone: str | None) -> float:
    """Seconds since the Unix epoch from an ISO time in `timezone` (default UTC) or "@SECONDS".

    None is the present. Raises BadArgument.
    """
    if text is None:
        return SystemClock().now()
    try:
        if text.startswith("@"):
            return float(text[1:])
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadArgument(
            f"time {text!r}: expected a date and time like 2026-12-24T18:00, or seconds since 1970 "
            "like @1782000000"
        ) from None
    zone = ZoneInfo(timezone) if timezone else UTC
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()
