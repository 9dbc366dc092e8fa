import pytest

from installation.opening_hours import HoursError, Span, parse_days, parse_spans


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mo", (0,)),
        ("Tu-Su", (1, 2, 3, 4, 5, 6)),
        ("Tu – Su", (1, 2, 3, 4, 5, 6)),
        ("Sa-Mo", (5, 6, 0)),
        ("Mo-Mo", (0,)),
        ("Mo-Su", tuple(range(7))),
    ],
)
def test_days_and_ranges_of_days_are_read(text, days):
    assert parse_days(text) == days


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Di", "did you mean Tu?"),
        ("Monday", "did you mean Mo?"),
        ("Tu-So", "did you mean Su?"),
        ("tu", "did you mean Tu?"),
        ("Mo-Tu-We", "a range of days"),
        ("", "write a day"),
        ("x", "write a day"),
    ],
)
def test_other_days_are_told_how_to_write_them(text, remedy):
    with pytest.raises(HoursError) as caught:
        parse_days(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("closed", ()),
        ("10:00-18:00", (Span(600, 1080),)),
        ("9:30 – 24:00", (Span(570, 1440),)),
        ("10:00-02:00", (Span(600, 1560),)),
        ("00:00-24:00", (Span(0, 1440),)),
        ("22:00-00:00", (Span(1320, 1440),)),
    ],
)
def test_spans_are_minutes_after_midnight(text, spans):
    assert parse_spans(text) == spans


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10am-6pm", "no span of hours"),
        ("10-18", "no span of hours"),
        ("10.00-18.00", "no span of hours"),
        ("25:00-26:00", "no clock shows"),
        ("10:60-11:00", "no clock shows"),
        ("24:00-25:00", "no clock shows"),
        ("10:00-10:00", "is empty"),
        ("", "no span of hours"),
        ("off", "no span of hours"),
    ],
)
def test_unreadable_spans_say_what_is_wrong(text, message):
    with pytest.raises(HoursError, match=message) as caught:
        parse_spans(text)
    assert caught.value.remedy
