from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installation.opening_hours import Hours, Span
from installation.scheduler import (
    DOOR_FADE_S,
    day_table,
    doors_light,
    is_open,
    next_change,
    scenes_at,
    scenes_within,
)
from installation.show import Pacing, Scene, Show, parse_show

BERLIN = ZoneInfo("Europe/Berlin")
MUSEUM = parse_show(
    """
title: Museum
timezone: Europe/Berlin
hours: {Tu-Su: 10:00-18:00, Th: 10:00-20:00, Fr: 10:00-02:00}
scenes: [{name: a, model: testcard}]
""",
    "museum.yaml",
)
NIGHT = parse_show(
    """
title: All through the night
timezone: Europe/Berlin
hours: {Sa-Su: 22:00-02:30}
scenes: [{name: a, model: testcard}]
""",
    "night.yaml",
)


def programme(*turns, crossfade_s=2.0):
    scenes = tuple(
        Scene(f"s{index}", "testcard", for_s=for_s, pacing=Pacing(crossfade_s=crossfade_s))
        for index, for_s in enumerate(turns)
    )
    return Show("Programme", scenes)


def berlin(*parts, fold=0):
    return datetime(*parts, tzinfo=BERLIN, fold=fold)


def test_single_scene_is_shown_for_ever():
    show = programme(10.0)
    assert {scenes_at(show, t) for t in (-5.0, 0.0, 3.0, 1e12)} == {((0, 1.0),)}


def test_scenes_take_turns_and_begin_again():
    show = programme(10.0, 20.0, 5.0)
    turns = [scenes_at(show, t)[-1][0] for t in (0, 9.99, 10, 29.9, 30, 34.9, 35, 45, -1)]
    assert turns == [0, 0, 1, 1, 2, 2, 0, 1, 2]


def test_new_scene_lies_over_the_one_before_while_it_crossfades():
    show = programme(10.0, 20.0)
    assert scenes_at(show, 9.0) == ((0, 1.0),)
    assert scenes_at(show, 10.0) == ((0, 1.0), (1, 0.0))
    assert scenes_at(show, 11.0) == ((0, 1.0), (1, 0.5))
    assert scenes_at(show, 12.0) == ((1, 1.0),)
    assert scenes_at(show, 30.5)[0] == (1, 1.0)


def test_crossfade_of_no_time_is_a_cut():
    show = programme(10.0, 20.0, crossfade_s=0.0)
    assert (scenes_at(show, 9.999), scenes_at(show, 10.0)) == (((0, 1.0),), ((1, 1.0),))


def opacities(show, t):
    """Each scene's share of the picture, as the layers over it leave it."""
    shares = [0.0] * len(show.scenes)
    for index, opacity in scenes_at(show, t):
        shares = [share * (1.0 - opacity) for share in shares]
        shares[index] += opacity
    return shares


@given(t=st.floats(-1e4, 4e9), step=st.floats(0, 0.02))
def test_no_scene_comes_or_goes_suddenly(t, step):
    show = programme(10.0, 20.0, 3.0)
    before, after = opacities(show, t), opacities(show, t + step)
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 0.75 * step + 1e-5
    assert sum(after) == pytest.approx(1.0)


@given(t=st.floats(-100, 4e9), length=st.floats(0, 100))
@settings(max_examples=200)
def test_scenes_within_a_time_are_all_that_a_frame_of_it_shows(t, length):
    show = programme(10.0, 1.0, 3.0, 7.0)
    within = scenes_within(show, t, t + length)
    for part in range(21):
        shown = {index for index, _ in scenes_at(show, t + length * part / 20)}
        assert shown <= set(within)
    assert len(set(within)) == len(within)


def test_scenes_within_come_in_the_order_of_need():
    show = programme(10.0, 20.0, 5.0)
    assert scenes_within(show, 5.0, 9.0) == (0,)
    assert scenes_within(show, 5.0, 31.0) == (0, 1, 2)
    assert scenes_within(show, 31.0, 36.0) == (1, 2, 0)
    assert scenes_within(show, 33.0, 36.0) == (2, 0)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (berlin(2026, 11, 23, 12), False),  # Monday is not listed
        (berlin(2026, 11, 24, 9, 59, 59), False),
        (berlin(2026, 11, 24, 10), True),
        (berlin(2026, 11, 24, 17, 59, 59), True),
        (berlin(2026, 11, 24, 18), False),
        (berlin(2026, 11, 26, 19), True),  # Thursday beats the range
        (berlin(2026, 11, 28, 1, 59), True),  # Friday's night
        (berlin(2026, 11, 28, 2), False),
        (datetime(2026, 11, 24, 9, tzinfo=UTC), True),  # any zone may ask
    ],
)
def test_doors_follow_the_weekly_hours(moment, expected):
    assert is_open(MUSEUM, moment) is expected


def test_time_without_zone_is_refused():
    for question in (is_open, next_change):
        with pytest.raises(ValueError, match=r"has no time zone; pass an aware datetime"):
            question(MUSEUM, datetime(2026, 11, 24))


def test_show_without_hours_never_closes():
    show = programme(10.0)
    assert is_open(show, berlin(2026, 11, 24))
    assert next_change(show, berlin(2026, 11, 24)) is None
    assert doors_light(show, 1.8e9) == 1.0


def test_next_change_walks_through_a_museums_week():
    moments, moment = [], berlin(2026, 11, 26, 12)
    for _ in range(6):
        moment = next_change(MUSEUM, moment)
        moments.append(moment.strftime("%a %d %H:%M"))
    assert moments == [
        "Thu 26 20:00",
        "Fri 27 10:00",
        "Sat 28 02:00",
        "Sat 28 10:00",
        "Sat 28 18:00",
        "Sun 29 10:00",
    ]
    assert str(moment.tzinfo) == "Europe/Berlin"


def test_doors_that_never_move_have_no_next_change():
    for spans in ((), (Span(0, 1440),)):
        show = Show("T", (Scene("a", "m"),), timezone="Europe/Berlin", hours=Hours((spans,) * 7))
        assert next_change(show, berlin(2026, 3, 28, 12)) is None
        assert is_open(show, berlin(2026, 3, 29, 3)) is bool(spans)


def test_table_of_a_day_holds_what_begins_on_it():
    (friday,) = day_table(MUSEUM, date(2026, 11, 27))
    assert friday.opens == berlin(2026, 11, 27, 10)
    assert friday.closes == berlin(2026, 11, 28, 2)
    assert day_table(MUSEUM, date(2026, 11, 23)) == ()
    (always,) = day_table(programme(1.0), date(2026, 11, 23))
    assert always.closes - always.opens == timedelta(days=1)


def test_closing_time_that_never_comes_is_the_change_of_clocks():
    (opening,) = day_table(NIGHT, date(2026, 3, 28))
    assert opening.closes == berlin(2026, 3, 29, 3)
    assert opening.closes.timestamp() - opening.opens.timestamp() == 4 * 3600
    assert not is_open(NIGHT, berlin(2026, 3, 29, 3))


def test_closing_time_that_comes_twice_is_the_second():
    (opening,) = day_table(NIGHT, date(2026, 10, 24))
    assert opening.closes.timestamp() - opening.opens.timestamp() == 5.5 * 3600
    assert is_open(NIGHT, berlin(2026, 10, 25, 2, 45))
    assert is_open(NIGHT, berlin(2026, 10, 25, 2, 15, fold=1))
    assert not is_open(NIGHT, berlin(2026, 10, 25, 2, 30, fold=1))


def test_opening_within_the_hour_that_never_comes_is_left_out():
    hours = Hours(((Span(130, 170),),) * 7)
    show = Show("T", (Scene("a", "m"),), timezone="Europe/Berlin", hours=hours)
    assert day_table(show, date(2026, 3, 29)) == ()
    assert len(day_table(show, date(2026, 3, 30))) == 1


@given(at=st.floats(1.7e9, 1.9e9), show=st.sampled_from([MUSEUM, NIGHT]))
@settings(max_examples=200)
def test_next_change_is_where_the_doors_change(at, show):
    moment = datetime.fromtimestamp(at, UTC)
    change = next_change(show, moment).timestamp()
    assert change > at
    before = datetime.fromtimestamp(change - 0.001, UTC)
    assert is_open(show, before) is is_open(show, moment)
    assert is_open(show, datetime.fromtimestamp(change, UTC)) is not is_open(show, moment)


@given(at=st.floats(1.7e9, 1.9e9), show=st.sampled_from([MUSEUM, NIGHT]))
@settings(max_examples=200)
def test_doors_light_is_full_when_open_and_none_when_closed(at, show):
    moment = datetime.fromtimestamp(at, UTC)
    change = next_change(show, moment).timestamp()
    after_fade = change + DOOR_FADE_S
    assert doors_light(show, change) == pytest.approx(1.0 if is_open(show, moment) else 0.0)
    assert doors_light(show, after_fade) == pytest.approx(0.0 if is_open(show, moment) else 1.0)


@pytest.mark.parametrize(
    "night", [berlin(2026, 3, 28, 18), berlin(2026, 10, 24, 18), berlin(2026, 11, 27, 18)]
)
def test_doors_light_never_jumps_in_a_night(night):
    start = night.timestamp()
    step = 0.25
    changes = []
    for show in (MUSEUM, NIGHT):
        moment = night
        while (moment := next_change(show, moment)).timestamp() < start + 20 * 3600:
            changes.append((show, moment.timestamp()))
    assert len(changes) >= 2
    for show, change in changes:
        lights = [doors_light(show, change - 2 + step * n) for n in range(40)]
        assert max(abs(a - b) for a, b in pairwise(lights)) <= 1.5 * step / DOOR_FADE_S + 1e-9
        assert {lights[0], lights[-1]} == {0.0, 1.0}
