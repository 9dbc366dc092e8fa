import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installation.latent import Drawn, Seed, latent_vector
from installation.latent_walker import latent_at, position_at
from installation.show import Pacing, Scene, Walk

ROUNDS = settings(derandomize=True, deadline=None, max_examples=60)
LISTED = tuple(Seed(n) for n in (3, 14, 15, 92))

walks = st.one_of(
    st.builds(
        Walk,
        kind=st.just("random"),
        seed=st.integers(0, 99),
        curve=st.sampled_from(["arc", "spline"]),
    ),
    st.builds(Walk, kind=st.sampled_from(["waypoints", "loop"]), waypoints=st.just(LISTED)),
)
pacings = st.builds(
    Pacing,
    hold_s=st.floats(0, 20),
    travel_s=st.floats(0.5, 40),
    ease=st.sampled_from(["linear", "smooth", "smoother", "sine"]),
    speed=st.floats(0.1, 4),
)
scenes = st.builds(Scene, name=st.just("a"), model=st.just("testcard"), walk=walks, pacing=pacings)
show_times = st.floats(-1e5, 4e9)


def vector_at(scene, show_time_s):
    return latent_vector(latent_at(scene, show_time_s), 16)


@given(scenes, show_times)
@ROUNDS
def test_walk_never_jumps_in_a_sixtieth_of_a_second(scene, show_time_s):
    leg_s = (scene.pacing.hold_s + scene.pacing.travel_s) / scene.pacing.speed
    travel_s = scene.pacing.travel_s / scene.pacing.speed
    step = travel_s / 1000
    border = round(show_time_s / leg_s) * leg_s
    for start in (show_time_s, border - step / 2):
        moved = np.linalg.norm(vector_at(scene, start + step) - vector_at(scene, start))
        assert moved < 12.0 * 2.0 * np.pi / 1000 * 1.1 + 1e-4


@given(scenes, show_times)
@ROUNDS
def test_walk_keeps_the_lengths_of_its_waypoints(scene, show_time_s):
    latent = latent_at(scene, show_time_s)
    lengths = [np.linalg.norm(vector_at(scene, t)) for t in (show_time_s, show_time_s)]
    assert lengths[0] == lengths[1]
    if latent.before is None:
        ends = [
            np.linalg.norm(latent_vector(type(latent)("z", p, p, 0.0), 16))
            for p in (latent.a, latent.b)
        ]
        assert min(ends) * 0.999 <= lengths[0] <= max(ends) * 1.001


@given(scenes, st.lists(show_times, min_size=2, max_size=6))
@ROUNDS
def test_walk_has_no_memory_of_what_was_asked_before(scene, times):
    forwards = {t: latent_at(scene, t) for t in times}
    shuffled = list(times)
    random.Random(1).shuffle(shuffled)
    assert {t: latent_at(scene, t) for t in shuffled} == forwards


def test_loop_ends_exactly_where_it_began():
    scene = Scene("a", "m", Walk("loop", waypoints=LISTED), pacing=Pacing(hold_s=1, travel_s=3))
    for t in (0.0, 0.75, 2.5, 9.25):
        assert latent_at(scene, t) == latent_at(scene, t + 16.0)
        assert latent_at(scene, t) == latent_at(scene, t + 16.0 * 2**20)


def test_waypoints_are_walked_there_and_back():
    scene = Scene("a", "m", Walk("waypoints", waypoints=LISTED), pacing=Pacing(0, 1, "linear"))
    seeds = [latent_at(scene, float(leg)).a.seed for leg in range(-3, 9)]
    assert seeds == [92, 15, 14, 3, 14, 15, 92, 15, 14, 3, 14, 15]


def test_walk_holds_at_a_waypoint_before_it_travels():
    scene = Scene("a", "m", Walk(seed=5), pacing=Pacing(hold_s=4, travel_s=6, ease="linear"))
    assert [latent_at(scene, t).weight for t in (0.0, 2.0, 4.0)] == [0.0, 0.0, 0.0]
    assert latent_at(scene, 7.0).weight == pytest.approx(0.5)
    assert latent_at(scene, 0.5) == latent_at(scene, 3.5)


def test_speed_of_a_scene_makes_its_legs_shorter():
    slow = Scene("a", "m", pacing=Pacing(hold_s=4, travel_s=6))
    quick = Scene("a", "m", pacing=Pacing(hold_s=4, travel_s=6, speed=2.0))
    assert position_at(quick, 100.0) == 2 * position_at(slow, 100.0) == 20.0


def test_random_walk_draws_a_new_point_for_every_leg():
    scene = Scene("a", "m", Walk(seed=5), pacing=Pacing(0, 10, "linear"), psi=0.7)
    latent = latent_at(scene, 35.0)
    assert (latent.a, latent.b, latent.weight) == (Drawn(5, 3), Drawn(5, 4), 0.5)
    assert (latent.space, latent.psi) == ("z", 0.7)


def test_spline_names_the_four_points_around_it():
    scene = Scene("a", "m", Walk(seed=5, curve="spline"), pacing=Pacing(0, 10, "linear"))
    latent = latent_at(scene, 35.0)
    points = [latent.before, latent.a, latent.b, latent.after]
    assert points == [Drawn(5, index) for index in (2, 3, 4, 5)]


def test_position_a_billion_costs_as_many_steps_as_zero(count_calls):
    scene = Scene("a", "m", Walk(seed=5), pacing=Pacing(0, 1, "linear"))
    assert latent_at(scene, 1e9 + 0.5).weight == 0.5
    near = count_calls(lambda: latent_at(scene, 0.25))
    assert count_calls(lambda: latent_at(scene, 1e9 + 0.25)) == near
