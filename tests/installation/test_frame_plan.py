from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.frame_plan import keys_at, models_within, plan
from installation.latent_walker import latent_at
from installation.show import Pacing, Scene, Show, Walk, parse_show
from installation.state import Grid, SetBlackout, SetBrightness, SetSpeed, apply, initial_state

NOW = 1_795_348_800.0
TWO = Show(
    "Two",
    (
        Scene("a", "testcard", Walk(seed=1), for_s=10.0, pacing=Pacing(crossfade_s=2.0)),
        Scene("b", "figures-64", Walk(seed=2), for_s=20.0, pacing=Pacing(crossfade_s=4.0)),
    ),
)
ONE = Show("One", (Scene("a", "testcard", Walk(seed=1)),))
moments = st.floats(0, 4e9)
rates = st.sampled_from([Fraction(1, 2), Fraction(24), Fraction(30), Fraction(60000, 1001)])


@given(moments, rates)
def test_same_arguments_give_the_same_plan(now, rate):
    assert plan(TWO, initial_state(TWO, Grid(rate)), now) == plan(
        TWO, initial_state(TWO, Grid(rate)), now
    )


@given(moments, rates)
def test_blend_lies_between_the_two_ticks_around_now(now, rate):
    (frame,) = plan(TWO, initial_state(TWO, Grid(rate)), now)
    for layer in frame.layers:
        assert 0.0 <= layer.blend < 1.0
        assert (layer.earlier.tick, layer.later.tick) == (frame.tick, frame.tick + 1)
    assert frame.layers[0].opacity == 1.0


def test_plan_on_a_tick_shows_that_key_image_alone():
    state = initial_state(ONE, Grid(Fraction(30)))
    now = state.grid.time(state.grid.tick(NOW))
    (frame,) = plan(ONE, state, now)
    assert frame.layers[0].blend == 0.0
    assert frame.layers[0].earlier.latent == latent_at(ONE.scenes[0], now)


@given(moments, rates)
def test_keys_made_for_a_tick_are_the_keys_frames_ask_for(now, rate):
    state = initial_state(TWO, Grid(rate))
    (frame,) = plan(TWO, state, now)
    made = {
        (image.channel, image.scene, image.model, image.key)
        for tick in (frame.tick, frame.tick + 1)
        for image in keys_at(TWO, state, tick)
    }
    for layer in frame.layers:
        for key in (layer.earlier, layer.later):
            assert (frame.channel, layer.scene, layer.model, key) in made


@given(st.integers(0, 10**6), st.lists(st.floats(0, 1, exclude_max=True), max_size=5))
def test_key_image_depends_on_its_tick_alone(tick, parts):
    state = initial_state(TWO, Grid(Fraction(30)))
    expected = {image.scene: image.key for image in keys_at(TWO, state, tick)}
    for part in parts:
        for layer in plan(TWO, state, state.grid.time(tick) + part / 30)[0].layers:
            for key in (layer.earlier, layer.later):
                assert key.tick != tick or key == expected[layer.scene]


def test_drawing_more_often_does_not_change_what_is_drawn():
    state = initial_state(TWO, Grid(Fraction(12)))
    seen = [
        {n / 120: plan(TWO, state, NOW + n / 120) for n in range(0, 1200, step)}
        for step in (2, 4, 5)
    ]
    for moment in set(seen[0]) & set(seen[1]) & set(seen[2]):
        assert seen[0][moment] == seen[1][moment] == seen[2][moment]


def test_crossfade_plans_two_layers_bottom_first():
    state = initial_state(TWO, Grid(Fraction(30)))
    start = NOW - NOW % 30.0 + 10.0
    (frame,) = plan(TWO, state, start + 2.0)
    assert [(layer.scene, layer.model) for layer in frame.layers] == [
        ("a", "testcard"),
        ("b", "figures-64"),
    ]
    assert [layer.opacity for layer in frame.layers] == [1.0, pytest.approx(0.5)]


def test_models_are_announced_before_they_are_needed():
    state = initial_state(TWO)
    start = NOW - NOW % 30.0
    assert models_within(TWO, state, start + 5.0, 2.0) == ("testcard",)
    assert models_within(TWO, state, start + 5.0, 10.0) == ("testcard", "figures-64")
    assert models_within(TWO, apply(state, SetSpeed(0.1), start + 5.0), start + 5.0, 10.0) == (
        "testcard",
    )


def test_brightness_is_doors_times_controls():
    show = parse_show(
        "title: T\ntimezone: UTC\nhours: {Mo: 10:00-18:00}\nscenes: [{name: a, model: m}]", "s.yaml"
    )
    monday = 1_795_392_000.0  # 2026-11-23 00:00 UTC
    state = apply(initial_state(show), SetBrightness(0.5, 0.0), NOW)

    def brightness(at, state=state):
        return plan(show, state, at)[0].brightness

    assert brightness(monday + 9.99 * 3600) == 0.0
    assert brightness(monday + 10 * 3600 + 2.5) == pytest.approx(0.25)
    assert brightness(monday + 12 * 3600) == 0.5
    dark = apply(state, SetBlackout(True), monday + 12 * 3600)
    assert brightness(monday + 13 * 3600, dark) == 0.0
    assert brightness(monday + 18 * 3600 + 60) == 0.0


def test_walk_goes_on_behind_closed_doors():
    show = parse_show(
        "title: T\ntimezone: UTC\nhours: {Mo: closed}\nscenes: [{name: a, model: m}]", "s.yaml"
    )
    first, second = (plan(show, initial_state(show), NOW + t)[0] for t in (0.0, 6.0))
    assert first.brightness == second.brightness == 0.0
    assert first.layers[0].earlier.latent != second.layers[0].earlier.latent
