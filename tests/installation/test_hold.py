from itertools import pairwise

import pytest

from installation.hold import DIP_S, GAP_S, Hold, Showing

LIVE = Showing(new=True, light=1.0)
HELD = Showing(new=False, light=1.0)


def test_a_picture_that_is_there_is_shown_undimmed():
    hold = Hold()
    assert [hold.advance(t / 60, ready=True) for t in range(100)] == [LIVE] * 100


def test_the_first_picture_is_shown_without_a_dip():
    hold = Hold()
    hold.advance(0.0, ready=False)
    assert hold.advance(5.0, ready=True) == LIVE


def test_a_missing_picture_keeps_the_last_one_in_full_light():
    hold = Hold()
    hold.advance(0.0, ready=True)
    assert [hold.advance(float(t), ready=False) for t in range(1, 4000, 7)] == [HELD] * 572


def test_a_short_gap_is_passed_over():
    hold = Hold()
    hold.advance(0.0, ready=True)
    hold.advance(1.0, ready=False)
    assert hold.advance(1.0 + GAP_S * 0.9, ready=True) == LIVE


def test_after_a_long_gap_the_wall_dips_from_the_old_picture_to_the_new():
    hold = Hold()
    hold.advance(0.0, ready=True)
    hold.advance(1.0, ready=False)
    frames = [hold.advance(16.0 + DIP_S * k / 64, ready=True) for k in range(65)]
    assert [f.new for f in frames] == [False] * 32 + [True] * 33
    assert frames[0] == HELD
    assert frames[-1] == LIVE
    assert min(f.light for f in frames) == pytest.approx(0.0, abs=0.04)


def test_light_never_jumps_during_a_dip():
    hold = Hold()
    hold.advance(0.0, ready=True)
    hold.advance(1.0, ready=False)
    light = [hold.advance(10.0 + k / 60, ready=True).light for k in range(120)]
    assert max(abs(b - a) for a, b in pairwise(light)) < 2.0 / 60 + 1e-9


def test_a_picture_lost_again_in_the_dip_brings_the_held_one_back():
    hold = Hold()
    hold.advance(0.0, ready=True)
    hold.advance(1.0, ready=False)
    hold.advance(10.0, ready=True)
    assert hold.advance(10.0 + DIP_S * 0.6, ready=False) == HELD
