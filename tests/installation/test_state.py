from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.show import Scene, Show
from installation.state import (
    Anchor,
    Fade,
    Grid,
    Pause,
    Resume,
    SetBlackout,
    SetBrightness,
    SetGrid,
    SetSpeed,
    apply,
    initial_state,
    show_time,
)

SHOW = Show("T", (Scene("a", "testcard"),))
NOW = 1_795_348_800.0
rates = st.sampled_from([Fraction(1, 3), Fraction(24), Fraction(30000, 1001), Fraction(60)])
speed_commands = st.one_of(
    st.builds(SetSpeed, st.floats(0, 10), st.sampled_from([0.0, 0.5, 3.0])),
    st.builds(Pause, st.sampled_from([0.0, 2.0])),
    st.builds(Resume, st.sampled_from([0.0, 2.0])),
)


def test_untouched_show_counts_from_the_unix_epoch():
    assert show_time(initial_state(SHOW), NOW) == NOW


def test_untouched_show_counts_from_its_start_where_it_has_one():
    show = Show("T", SHOW.scenes, starts=NOW)
    state = initial_state(show)
    assert [show_time(state, NOW + t) for t in (-5.0, 0.0, 7.5)] == [-5.0, 0.0, 7.5]


@given(rates, st.floats(0, 4e9))
def test_tick_is_the_last_at_or_before_now(rate, now):
    grid = Grid(rate)
    tick = grid.tick(now)
    assert grid.time(tick) <= now < grid.time(tick + 1)


@given(rates, st.integers(0, 10**11))
def test_tick_of_a_ticks_time_is_itself(rate, tick):
    grid = Grid(rate)
    assert grid.tick(grid.time(tick)) == tick


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1), Fraction(1001)])
def test_grid_refuses_rates_of_no_display(rate):
    with pytest.raises(ValueError, match=r"it must be above 0, at most 1000"):
        Grid(rate)


@given(st.lists(st.tuples(st.floats(0.001, 20), speed_commands), max_size=8), rates)
def test_no_command_makes_show_time_jump_or_run_back(history, rate):
    now, state = NOW, initial_state(SHOW, Grid(rate))
    for wait, command in history:
        now += wait
        after = apply(state, command, now)
        assert show_time(after, now) == pytest.approx(show_time(state, now), abs=1e-5)
        moments = [now + step * 0.37 for step in range(12)]
        times = [show_time(after, moment) for moment in moments]
        assert all(-1e-5 <= b - a <= 3.7 + 1e-5 for a, b in pairwise(times))
        state = after


@given(st.floats(0, 100), st.floats(0.1, 10), rates)
def test_speed_change_leaves_the_key_images_on_the_wall_alone(wait, speed, rate):
    state = initial_state(SHOW, Grid(rate))
    now = NOW + wait
    after = apply(state, SetSpeed(speed), now)
    tick = state.grid.tick(now)
    on_the_wall = [state.grid.time(tick), now, after.anchor.at_s]
    assert after.anchor.at_s - now < 1 / rate
    for moment in on_the_wall:
        assert show_time(after, moment) == show_time(state, moment)


def test_speed_runs_show_time_at_its_rate_from_the_next_tick():
    state = apply(initial_state(SHOW, Grid(Fraction(10))), SetSpeed(2.0), NOW)
    assert state.anchor == Anchor(NOW, NOW, 2.0, 1.0)
    assert show_time(state, NOW + 3.0) == NOW + 6.0
    between = apply(initial_state(SHOW, Grid(Fraction(10))), SetSpeed(2.0), NOW + 0.05)
    assert between.anchor.at_s == pytest.approx(NOW + 0.1)


def test_second_command_before_the_tick_replaces_the_first():
    state = initial_state(SHOW, Grid(Fraction(1)))
    state = apply(state, SetSpeed(5.0), NOW + 0.2)
    state = apply(state, SetSpeed(3.0), NOW + 0.4)
    assert show_time(state, NOW + 0.9) == NOW + 0.9
    assert show_time(state, NOW + 2.0) == NOW + 1.0 + 3.0


def test_pause_holds_and_resume_goes_on_at_the_same_speed():
    state = apply(initial_state(SHOW), SetSpeed(0.5), NOW)
    state = apply(state, Pause(), NOW + 10)
    held = show_time(state, NOW + 10)
    assert held == show_time(state, NOW + 5000) == NOW + 5.0
    state = apply(state, SetSpeed(4.0), NOW + 5000)
    assert show_time(state, NOW + 5100) == held
    state = apply(state, Resume(), NOW + 6000)
    assert show_time(state, NOW + 6010) == held + 40.0


def test_eased_pause_comes_to_rest_without_a_jerk():
    state = apply(initial_state(SHOW, Grid(Fraction(10))), Pause(ease_s=4.0), NOW)
    rates_seen = [state.anchor.rate_at(NOW + t) for t in (0.0, 2.0, 4.0, 100.0)]
    assert rates_seen == [1.0, 0.5, 0.0, 0.0]
    assert show_time(state, NOW + 4.0) == NOW + 2.0
    assert show_time(state, NOW + 100.0) == NOW + 2.0


def test_change_of_an_eased_change_goes_on_from_its_rate():
    state = apply(initial_state(SHOW, Grid(Fraction(10))), Pause(ease_s=4.0), NOW)
    state = apply(state, Resume(ease_s=4.0), NOW + 2.0)
    assert state.anchor.rate_before == 0.5


def test_brightness_fades_to_its_level_and_stays():
    state = apply(initial_state(SHOW), SetBrightness(0.4, 2.0), NOW)
    assert [state.brightness.value(NOW + t) for t in (0.0, 1.0)] == [1.0, pytest.approx(0.7)]
    assert state.brightness.value(NOW + 1e6) == pytest.approx(0.4)


def test_blackout_and_its_end_keep_the_brightness():
    state = apply(initial_state(SHOW), SetBrightness(0.4), NOW)
    state = apply(state, SetBlackout(True, 1.0), NOW + 10)
    assert state.light.value(NOW + 11) == 0.0
    state = apply(state, SetBlackout(False, 0.0), NOW + 20)
    assert state.light.value(NOW + 20) == 1.0
    assert state.brightness.value(NOW + 20) == pytest.approx(0.4)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.floats(0.1, 4)), max_size=6))
def test_fade_broken_off_goes_on_from_where_it_is(history):
    now, fade = NOW, Fade(1.0, 1.0, 0.0, 0.0)
    for wait, level, duration_s in history:
        now += wait
        after = fade.towards(level, now, duration_s)
        assert after.value(now) == pytest.approx(fade.value(now), abs=1e-12)
        assert abs(after.value(now + 0.01) - after.value(now)) <= 1.5 * 0.01 / duration_s + 1e-6
        fade = after


def test_grid_change_moves_no_time():
    state = apply(initial_state(SHOW, Grid(Fraction(60))), SetSpeed(2.0), NOW)
    after = apply(state, SetGrid(Grid(Fraction(20))), NOW + 1.234)
    assert after.grid.rate_hz == 20
    assert show_time(after, NOW + 5) == show_time(state, NOW + 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SetSpeed(-1.0), "the speed is -1.0; it must be between 0 and 10"),
        (lambda: SetSpeed(float("nan")), "the speed is nan; it must be between 0 and 10"),
        (lambda: SetBrightness(1.5), "the brightness is 1.5; it must be between 0 and 1"),
        (lambda: SetBlackout(True, float("inf")), "the fade is inf; it must be between 0 and 3600"),
        (lambda: Pause(-1.0), "the time of the change is -1.0"),
    ],
)
def test_commands_refuse_what_no_knob_may_send(make, message):
    with pytest.raises(ValueError, match=message):
        make()
