from fractions import Fraction

import pytest

from installation.governor import CALM_S, WINDOW, Governor, divisor_for

SIXTY = Fraction(60)


def fed(governor, seconds, count=WINDOW):
    for _ in range(count):
        governor.note(seconds)
    return governor


@pytest.mark.parametrize(
    ("seconds", "divisor"), [(0.0, 1), (0.005, 1), (0.0124, 1), (0.013, 2), (0.024, 2), (0.1, 8)]
)
def test_divisor_is_the_smallest_that_leaves_headroom(seconds, divisor):
    assert divisor_for(SIXTY, seconds) == divisor


def test_a_rate_that_is_not_positive_is_refused_by_name():
    with pytest.raises(ValueError, match=r"display rate 0 Hz: expected a positive rate"):
        divisor_for(Fraction(0), 0.01)


def test_a_slow_model_gets_a_coarser_grid_at_once():
    governor = fed(Governor(SIXTY), 0.030)
    assert governor.decide(0.0) == Fraction(60, 3)


def test_a_few_durations_are_not_enough_to_decide():
    governor = fed(Governor(SIXTY), 0.5, count=3)
    assert governor.decide(0.0) == SIXTY


def test_one_late_image_does_not_change_the_grid():
    governor = fed(Governor(SIXTY), 0.004)
    governor.note(0.9)
    assert governor.decide(0.0) == SIXTY


def test_the_grid_gets_finer_only_after_a_calm_spell():
    governor = fed(Governor(SIXTY, divisor=3), 0.004)
    assert governor.decide(100.0) == Fraction(20)
    assert governor.decide(100.0 + CALM_S - 0.1) == Fraction(20)
    assert governor.decide(100.0 + CALM_S) == SIXTY


def test_a_busy_moment_restarts_the_calm_spell():
    governor = fed(Governor(SIXTY, divisor=3), 0.004)
    governor.decide(100.0)
    fed(governor, 0.035).decide(110.0)
    fed(governor, 0.004)
    assert governor.decide(100.0 + CALM_S) == Fraction(20)


def test_a_speed_between_two_divisors_does_not_flutter():
    governor = fed(Governor(SIXTY, divisor=2), 0.0120)  # would just fit divisor 1
    rates = {governor.decide(float(at_s)) for at_s in range(0, 600, 5)}
    assert rates == {Fraction(30)}
