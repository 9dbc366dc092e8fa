"""What happens when an image or a frame fails or comes late: keep the last, say it once, count.

The policy of "unstoppable after opening" in one place. Knows no GPU, no model and no clock of its
own: it is told the time. Several threads may report to one `Health`.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from installation.clock import Clock

Kind = Literal["image", "frame", "page", "model"]
_NAMES = {"image": "an image", "frame": "a frame", "page": "the live page", "model": "a model"}
REPEAT_EVERY_S = 60.0  # a failure that goes on gets at most one line a minute
KINDS_REMEMBERED = 64  # of failures, by place in the source; a year of them must not fill memory
FRAMES_REMEMBERED = 3600  # a minute at 60 Hz: what mean and p99 speak of
LATE = 1.5  # a frame later than this many periods after the last was missed (specs: display §3)


class Pacing:
    """Statistics of the intervals between frames, over the last `FRAMES_REMEMBERED` of them."""

    def __init__(self, period_s: float) -> None:
        """Expect a frame every `period_s` seconds."""
        self.period_s = period_s
        self.frames = 0
        self.missed = 0
        self._last_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=FRAMES_REMEMBERED)

    def frame(self, at_s: float) -> None:
        """Count a frame presented at the monotonic time `at_s`, and those missed before it."""
        self.frames += 1
        if self._last_s is not None:
            interval_s = at_s - self._last_s
            self._intervals_s.append(interval_s)
            if interval_s > LATE * self.period_s:
                self.missed += max(1, round(interval_s / self.period_s) - 1)
        self._last_s = at_s

    def pause(self) -> None:
        """Forget the last frame: the interval to the next one is not a late frame."""
        self._last_s = None

    def mean_s(self) -> float:
        """Mean interval in seconds; 0 before there are two frames."""
        return sum(self._intervals_s) / len(self._intervals_s) if self._intervals_s else 0.0

    def p99_s(self) -> float:
        """The interval that 99 in 100 do not exceed (nearest rank), in seconds; 0 if unknown."""
        if not self._intervals_s:
            return 0.0
        ordered = sorted(self._intervals_s)
        return ordered[-(-99 * len(ordered) // 100) - 1]


class Rate:
    """How many things a second happened lately."""

    def __init__(self, window_s: float = 2.0, remembered: int = 4096) -> None:
        """Speak of the last `window_s` seconds, of at most `remembered` happenings."""
        self._window_s = window_s
        self._events: deque[tuple[float, int]] = deque(maxlen=remembered)

    def count(self, at_s: float, count: int = 1) -> None:
        """`count` things happened at the monotonic time `at_s`."""
        self._events.append((at_s, count))

    def hz(self, now_s: float) -> float:
        """Things a second since the oldest happening in the window; 0 when there are none."""
        while self._events and now_s - self._events[0][0] > self._window_s:
            self._events.popleft()
        if len(self._events) < 2:
            return 0.0
        first_s, first_count = self._events[0]
        counted = sum(count for _, count in self._events) - first_count
        return counted / max(now_s - first_s, 1e-9)


@dataclass
class _Failure:
    count_unsaid: int = 0
    count: int = 0
    last_said_s: float = 0.0


@dataclass(frozen=True)
class Report:
    """A reading of all counters, for the live page, the log and the bench."""

    images_made: int
    images_failed: int
    images_missed: int  # their time on the grid passed before they were made
    images_hz: float
    frames_shown: int
    frames_failed: int
    frames_missed: int
    frames_hz: float
    frame_mean_s: float
    frame_p99_s: float
    last_error: str  # one line; empty when nothing ever failed


@dataclass
class _Counts:
    images_made: int = 0
    images_missed: int = 0
    failed: dict[str, int] = field(default_factory=dict)


class Health:
    """Counts what was made, shown, missed and failed, and keeps the log short and complete."""

    def __init__(
        self,
        clock: Clock,
        *,
        frame_period_s: float = 1 / 60,
        repeat_every_s: float = REPEAT_EVERY_S,
        log: logging.Logger | None = None,
    ) -> None:
        """Read the time from `clock` (monotonic only); log to `log`, by default "wanderer"."""
        self._clock = clock
        self._repeat_every_s = repeat_every_s
        self._log = log or logging.getLogger("wanderer")
        self._lock = threading.Lock()
        self._images = Rate()
        self._frames = Rate()
        self._pacing = Pacing(frame_period_s)
        self._counts = _Counts()
        self._failures: OrderedDict[tuple[str, ...], _Failure] = OrderedDict()
        self._last_error = ""

    def image_made(self, count: int = 1) -> None:
        """Count `count` images of the grid that are ready to be shown."""
        with self._lock:
            self._counts.images_made += count
            self._images.count(self._clock.monotonic(), count)

    def image_missed(self, count: int = 1) -> None:
        """Count images whose time on the grid had passed before they were made."""
        with self._lock:
            self._counts.images_missed += count

    def frame_shown(self) -> None:
        """Count a frame that reached the surface just now."""
        with self._lock:
            now_s = self._clock.monotonic()
            self._frames.count(now_s)
            self._pacing.frame(now_s)

    def frames_paused(self) -> None:
        """Say that no frame is due for a while (closed, hidden): the gap is not a missed frame."""
        with self._lock:
            self._pacing.pause()

    def frame_period(self, period_s: float) -> None:
        """Expect frames at a new interval from here on."""
        with self._lock:
            self._pacing.period_s = period_s

    def failed(
        self, kind: Kind, error: BaseException, kept: str = "the last good one stays"
    ) -> None:
        """Log a failure of a new kind in full; count one seen before, a line per interval at most.

        Failures are of one kind when they are of one class and come from one line of the source.
        `kept` says what the visitor sees instead.
        """
        now_s = self._clock.monotonic()
        with self._lock:
            self._counts.failed[kind] = self._counts.failed.get(kind, 0) + 1
            self._last_error = f"{kind}: {type(error).__name__}: {_first_line(error)}"
            failure, is_new = self._failure((kind, *_place(error)))
            failure.count += 1
            failure.count_unsaid += 1
            if not is_new and now_s - failure.last_said_s < self._repeat_every_s:
                return
            unsaid, failure.count_unsaid, failure.last_said_s = failure.count_unsaid, 0, now_s
        if is_new:
            trace = (type(error), error, error.__traceback__)
            self._log.error("%s failed; %s", _NAMES[kind], kept, exc_info=trace)
        else:
            self._log.error(
                "%s failed %d more times (%d in all); %s. %s: %s",
                *(
                    _NAMES[kind],
                    unsaid,
                    failure.count,
                    kept,
                    type(error).__name__,
                    _first_line(error),
                ),
            )

    @contextmanager
    def guard(self, kind: Kind, kept: str = "the last good one stays") -> Iterator[None]:
        """Run a block whose failure must not stop the show; Ctrl-C and exits still do."""
        try:
            yield
        except Exception as error:
            self.failed(kind, error, kept)

    def report(self) -> Report:
        """Read everything at once."""
        now_s = self._clock.monotonic()
        with self._lock:
            return Report(
                images_made=self._counts.images_made,
                images_failed=self._counts.failed.get("image", 0),
                images_missed=self._counts.images_missed,
                images_hz=self._images.hz(now_s),
                frames_shown=self._pacing.frames,
                frames_failed=self._counts.failed.get("frame", 0),
                frames_missed=self._pacing.missed,
                frames_hz=self._frames.hz(now_s),
                frame_mean_s=self._pacing.mean_s(),
                frame_p99_s=self._pacing.p99_s(),
                last_error=self._last_error,
            )

    def _failure(self, key: tuple[str, ...]) -> tuple[_Failure, bool]:
        is_new = key not in self._failures
        failure = self._failures.setdefault(key, _Failure())
        self._failures.move_to_end(key)
        if len(self._failures) > KINDS_REMEMBERED:
            self._failures.popitem(last=False)
        return failure, is_new


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def _place(error: BaseException) -> tuple[str, str]:
    """The error's class and the innermost file:line that it passed through."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"
    return type(error).__qualname__, where
