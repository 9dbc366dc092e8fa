"""One full report of a failure, counted lines after it, and statistics in bounded memory."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.clock import ManualClock
from installation.health import FRAMES_REMEMBERED, KINDS_REMEMBERED, Health, Pacing, Rate


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=1.8e9)


@pytest.fixture
def health(clock, caplog) -> Health:
    caplog.set_level(logging.ERROR, logger="wanderer")
    return Health(clock, frame_period_s=0.02, repeat_every_s=60.0)


def fail(message: str) -> None:
    raise RuntimeError(message)


def fail_elsewhere(message: str) -> None:
    raise RuntimeError(message)


def test_the_first_failure_is_logged_in_full_with_its_trace(health, caplog):
    with health.guard("image"):
        fail("out of paint")
    (record,) = caplog.records
    assert record.getMessage() == "an image failed; the last good one stays"
    assert record.exc_info is not None and "out of paint" in caplog.text
    assert "in fail" in caplog.text


def test_repeated_failures_make_one_line_an_interval(health, clock, caplog):
    for _ in range(64 * 120):  # two minutes at 64 Hz
        with health.guard("image"):
            fail("out of paint")
        clock.advance(1 / 64)
    assert len(caplog.records) == 2
    assert caplog.records[1].exc_info is None
    message = caplog.records[1].getMessage()
    assert message.startswith("an image failed 3840 more times (3841 in all); the last good one")
    assert message.endswith("RuntimeError: out of paint")
    assert health.report().images_failed == 7680


def test_a_failure_from_another_line_is_a_new_one(health, caplog):
    for culprit in (fail, fail_elsewhere, fail, fail_elsewhere):
        with health.guard("frame", kept="black stays"):
            culprit("no")
    assert [r.getMessage() for r in caplog.records] == ["a frame failed; black stays"] * 2


def test_ctrl_c_is_not_swallowed_by_the_guard(health):
    with pytest.raises(KeyboardInterrupt), health.guard("image"):
        raise KeyboardInterrupt
    assert health.report().images_failed == 0


def test_failures_without_a_message_or_a_trace_are_logged_too(health):
    health.failed("image", ValueError())
    assert health.report().last_error == "image: ValueError: no message"


def test_kinds_of_failures_do_not_pile_up(health):
    for number in range(KINDS_REMEMBERED * 3):
        health.failed("page", type(f"Odd{number}", (Exception,), {})("x"))
    assert len(health._failures) == KINDS_REMEMBERED


def test_a_report_counts_what_was_made_shown_and_missed(health, clock):
    for _ in range(101):
        clock.advance(0.02)
        health.image_made()
        health.frame_shown()
    health.image_missed(3)
    clock.advance(0.06)
    health.frame_shown()
    report = health.report()
    assert (report.images_made, report.images_missed, report.images_failed) == (101, 3, 0)
    assert (report.frames_shown, report.frames_missed, report.frames_failed) == (102, 2, 0)
    assert report.frames_hz == pytest.approx(50, rel=0.05)
    assert report.last_error == ""


def test_a_planned_pause_is_not_a_missed_frame(health, clock):
    health.frame_shown()
    health.frames_paused()
    clock.advance(3600)
    health.frame_shown()
    assert health.report().frames_missed == 0


def test_a_changed_frame_period_changes_what_counts_as_missed(health, clock):
    health.frame_period(0.1)
    for _ in range(5):
        health.frame_shown()
        clock.advance(0.1)
    assert health.report().frames_missed == 0


def test_pacing_finds_the_mean_and_the_ninety_ninth_percentile():
    pacing = Pacing(0.01)
    at_s = 0.0
    for number in range(1001):
        pacing.frame(at_s)
        at_s += 0.1 if number % 50 == 0 else 0.01
    assert pacing.mean_s() == pytest.approx(0.0118)
    assert pacing.p99_s() == pytest.approx(0.1)
    assert pacing.missed == 20 * 9


def test_pacing_forgets_the_oldest_frames_and_stays_bounded():
    pacing = Pacing(0.01)
    for number in range(FRAMES_REMEMBERED * 2):
        pacing.frame(number * 0.01)
    assert len(pacing._intervals_s) == FRAMES_REMEMBERED
    assert pacing.frames == FRAMES_REMEMBERED * 2


def test_pacing_of_nothing_is_zero_and_not_an_error():
    assert (Pacing(0.01).mean_s(), Pacing(0.01).p99_s()) == (0.0, 0.0)
    assert Rate().hz(5.0) == 0.0


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=50))
def test_mean_and_percentile_lie_between_the_extremes(intervals):
    pacing = Pacing(0.02)
    at_s = 0.0
    pacing.frame(at_s)
    for interval in intervals:
        at_s += interval
        pacing.frame(at_s)
    tolerance = 1e-9
    assert min(intervals) - tolerance <= pacing.mean_s() <= max(intervals) + tolerance
    assert pacing.p99_s() == pytest.approx(max(intervals))


def test_rate_counts_batches_and_falls_to_zero_when_nothing_happens():
    rate = Rate(window_s=2.0)
    for number in range(100):
        rate.count(number * 0.1, count=4)
    assert rate.hz(9.9) == pytest.approx(40, rel=0.05)
    assert 0 < rate.hz(10.9) < 40
    assert rate.hz(20.0) == 0.0
