import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installation.latent import (
    Drawn,
    Given,
    Latent,
    Seed,
    latent_vector,
    lerp,
    point_vector,
    slerp,
    spline_weights,
    weighted_points,
)

ROUNDS = settings(derandomize=True, deadline=None, max_examples=60)
weights = st.floats(0, 1)
vectors = st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3).map(
    lambda values: np.array(values, np.float64)
)


def test_seed_means_what_artists_mean_by_it():
    expected = np.random.RandomState(42).randn(512).astype(np.float32)
    assert np.array_equal(point_vector(Seed(42), 512), expected)
    assert point_vector(Seed(42), 4) == pytest.approx(
        [0.496714, -0.138264, 0.647689, 1.52303], abs=1e-5
    )


def test_drawn_points_stay_the_same_for_ever():
    # Written down on 2026-11-22: a change here moves every random walk on every wall.
    expected = [-0.19543858, -1.192012, -0.9871625, 2.2375968]
    assert point_vector(Drawn(7, 3), 4) == pytest.approx(expected, abs=1e-5)


def test_drawn_points_are_standard_normal():
    values = np.concatenate([point_vector(Drawn(5, index), 64) for index in range(2000)])
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1.0) < 0.01
    assert abs(np.mean(values**3)) < 0.03
    assert abs(np.mean(values**4) - 3.0) < 0.1


def test_neighbouring_drawn_points_have_nothing_in_common():
    points = np.stack([point_vector(Drawn(5, index), 512) for index in range(-20, 20)])
    others = np.stack([point_vector(Drawn(6, index), 512) for index in range(-20, 20)])
    cosines = np.corrcoef(np.concatenate([points, others])) - np.eye(80)
    assert np.abs(cosines).max() < 0.2


def test_far_and_negative_points_cost_as_many_steps_as_near_ones(count_calls):
    near = count_calls(lambda: point_vector.__wrapped__(Drawn(1, 0), 512))
    for index in (10**9, -(10**9), 2**62):
        far = count_calls(lambda at=index: point_vector.__wrapped__(Drawn(1, at), 512))
        assert far == near


def test_a_short_drawn_vector_begins_a_longer_one():
    assert np.array_equal(point_vector(Drawn(1, 2), 7), point_vector(Drawn(1, 2), 64)[:7])


def test_written_out_point_of_wrong_length_says_what_to_write():
    assert np.array_equal(point_vector(Given((1.0, 2.0)), 2), [1.0, 2.0])
    with pytest.raises(ValueError, match="with 2 numbers, but this model's latent space has 64"):
        point_vector(Given((1.0, 2.0)), 64)


def test_point_vectors_can_not_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        point_vector(Seed(1), 4)[0] = 3.0


@given(vectors, vectors)
@ROUNDS
def test_both_curves_meet_their_ends_exactly(a, b):
    for curve in (slerp, lerp):
        assert np.array_equal(curve(a, b, 0.0), a)
        assert np.array_equal(curve(a, b, 1.0), b)


@given(vectors, vectors, weights)
@ROUNDS
def test_length_on_the_arc_goes_straight_from_one_to_the_other(a, b, t):
    expected = np.linalg.norm(a) * (1 - t) + np.linalg.norm(b) * t
    assert np.linalg.norm(slerp(a, b, t)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(vectors, vectors, weights, st.floats(0, 1e-3))
@ROUNDS
def test_arc_never_jumps_between_any_two_points(a, b, t, step):
    longest = np.linalg.norm(a) + np.linalg.norm(b)
    moved = np.linalg.norm(slerp(a, b, min(1.0, t + step)) - slerp(a, b, t))
    assert moved <= (np.pi + 1) * longest * step + 1e-5 * longest + 1e-12


@given(vectors, weights)
@ROUNDS
def test_opposite_points_are_joined_by_a_half_turn(a, t):
    length = np.linalg.norm(a)
    way = slerp(a, -a, t)
    assert np.linalg.norm(way) == pytest.approx(length, rel=1e-9)
    assert np.dot(way, a) == pytest.approx(length**2 * np.cos(np.pi * t), abs=1e-6 * length**2)


@given(vectors, weights)
@ROUNDS
def test_equal_points_stay_where_they_are(a, t):
    assert slerp(a, a, t) == pytest.approx(a, abs=1e-9)


def test_arc_is_shoemakes_formula_between_unit_vectors():
    a, b, t = np.array([1.0, 0.0]), np.array([0.6, 0.8]), 0.3
    omega = np.arccos(0.6)
    expected = (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)
    assert slerp(a, b, t) == pytest.approx(expected)


def test_arc_works_on_rows_and_keeps_their_type():
    a, b = np.eye(4, dtype=np.float32)[:3], -np.eye(4, dtype=np.float32)[1:]
    rows = slerp(a, b, 0.25)
    assert rows.dtype == np.float32
    assert rows.shape == (3, 4)
    assert np.array_equal(rows[1], slerp(a[1], b[1], 0.25))


def test_zero_vectors_do_not_make_anything_infinite():
    zero, b = np.zeros(3), np.array([0.0, 2.0, 0.0])
    assert slerp(zero, b, 0.5) == pytest.approx([0.0, 1.0, 0.0])
    assert slerp(b, zero, 0.5) == pytest.approx([0.0, 1.0, 0.0])
    assert np.array_equal(slerp(zero, zero, 0.5), zero)
    assert np.all(np.isfinite(slerp(np.array([1.0]), np.array([-1.0]), 0.5)))


@given(weights)
@ROUNDS
def test_spline_weights_sum_to_one_and_hand_over(t):
    assert sum(spline_weights(t)) == pytest.approx(1.0)
    assert all(weight >= 0.0 for weight in spline_weights(t))
    assert spline_weights(1.0)[1:] == pytest.approx(spline_weights(0.0)[:3])


def test_spline_pieces_join_without_corner():
    def at(leg, weight):
        before, a, b, after = (Drawn(1, leg + step) for step in (-1, 0, 1, 2))
        return latent_vector(Latent("z", a, b, weight, 1.0, before, after), 64)

    h = 1e-3
    assert at(0, 1.0) == pytest.approx(at(1, 0.0), abs=1e-6)
    arriving, leaving = (at(0, 1.0) - at(0, 1.0 - h)) / h, (at(1, h) - at(1, 0.0)) / h
    assert np.linalg.norm(arriving - leaving) < 0.02 * np.linalg.norm(arriving)


def test_spline_through_normal_points_is_normal_everywhere():
    for weight in (0.0, 0.3, 0.5, 0.9):
        rows = [
            Latent("z", Drawn(1, i + 1), Drawn(1, i + 2), weight, 1.0, Drawn(1, i), Drawn(1, i + 3))
            for i in range(0, 4000, 4)
        ]
        values = np.concatenate([latent_vector(row, 64) for row in rows])
        assert abs(values.std() - 1.0) < 0.01


def test_weighted_points_name_the_mixture_in_w():
    straight = Latent("w", Seed(1), Seed(2), 0.25)
    assert weighted_points(straight) == ((Seed(1), 0.75), (Seed(2), 0.25))
    spline = Latent("w", Seed(1), Seed(2), 0.25, 1.0, Seed(0), Seed(3))
    assert [point for point, _ in weighted_points(spline)] == [Seed(n) for n in range(4)]


def test_latent_in_w_refuses_to_be_a_z_vector():
    with pytest.raises(ValueError, match="map its weighted_points"):
        latent_vector(Latent("w", Seed(1), Seed(2), 0.5), 64)


def test_vector_of_a_latent_is_the_callers_to_write_to():
    for weight in (0.0, 0.5, 1.0):
        vector = latent_vector(Latent("z", Seed(1), Seed(2), weight), 8)
        vector[0] = 3.0
    assert point_vector(Seed(1), 8)[0] != 3.0
