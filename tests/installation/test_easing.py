import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installation.easing import EASES, smooth, smooth_area


@pytest.mark.parametrize("name", EASES)
def test_every_ease_begins_at_zero_and_ends_at_one(name):
    ease = EASES[name]
    assert (ease(0.0), ease(1.0)) == (0.0, 1.0)
    assert (ease(-3.0), ease(7.0)) == (0.0, 1.0)
    assert ease(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("name", EASES)
@given(u=st.floats(0, 1), step=st.floats(0, 0.01))
@settings(derandomize=True, deadline=None)
def test_every_ease_rises_and_never_jumps(name, u, step):
    ease = EASES[name]
    assert -1e-12 <= ease(min(1.0, u + step)) - ease(u) <= 2.0 * step + 1e-12


@given(u=st.floats(-1, 3))
@settings(derandomize=True, deadline=None)
def test_smooth_area_has_smooth_as_its_slope(u):
    h = 1e-4
    slope = (smooth_area(u + h) - smooth_area(u - h)) / (2 * h)
    assert slope == pytest.approx(smooth(u), abs=1e-3)
