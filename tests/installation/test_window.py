"""Which monitor a window goes to, on desktops that only exist as rectangles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.surface import SurfaceUnavailable
from installation.window import EVERY, Screen, choose_screen

LEFT = Screen("DP-1", 0, 0, 1920, 1080)
RIGHT = Screen("DP-2", 1920, 0, 1080, 1920)
ABOVE = Screen("HDMI-1", 0, -1080, 1920, 1080)
WALL = (RIGHT, LEFT, ABOVE)

screens = st.lists(
    st.builds(
        Screen,
        st.sampled_from("ABCDEF"),
        st.integers(-4000, 4000),
        st.integers(-4000, 4000),
        st.integers(1, 4000),
        st.integers(1, 4000),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda screen: screen.name,
)


def test_named_monitor_is_taken_wherever_it_stands_in_the_list():
    for order in (WALL, WALL[::-1]):
        assert choose_screen(order, "DP-2") == RIGHT


def test_without_a_name_the_primary_monitor_is_taken():
    primary = Screen("DP-3", 5000, 0, 800, 600, primary=True)
    assert choose_screen((*WALL, primary), None) == primary


def test_without_a_primary_the_topmost_left_monitor_is_taken():
    assert choose_screen(WALL, None) == ABOVE
    assert choose_screen((RIGHT, LEFT), None) == LEFT


def test_one_window_over_all_reaches_every_corner():
    assert choose_screen(WALL, EVERY) == Screen(EVERY, 0, -1080, 3000, 3000)


@given(screens)
def test_window_over_all_holds_every_monitor_and_no_more(wall):
    every = choose_screen(wall, EVERY)
    assert every.x == min(s.x for s in wall)
    assert every.y == min(s.y for s in wall)
    assert all(s.x + s.width <= every.x + every.width for s in wall)
    assert all(s.y + s.height <= every.y + every.height for s in wall)
    assert any(s.x + s.width == every.x + every.width for s in wall)
    assert any(s.y + s.height == every.y + every.height for s in wall)


@given(screens, st.randoms())
def test_choice_does_not_depend_on_the_order_of_monitors(wall, random):
    shuffled = list(wall)
    random.shuffle(shuffled)
    for output in (None, EVERY, wall[0].name):
        chosen, again = choose_screen(wall, output), choose_screen(shuffled, output)
        assert (chosen.x, chosen.y) == (again.x, again.y)


def test_unknown_monitor_message_names_the_known_ones():
    message = (
        r"no monitor called 'DP-9'; here are: DP-2 \(1080x1920\), DP-1 \(1920x1080\), "
        r"HDMI-1 \(1920x1080\); name one of them, or 'all' for one window over all"
    )
    with pytest.raises(SurfaceUnavailable, match=message):
        choose_screen(WALL, "DP-9")


def test_desktop_without_monitors_says_what_to_check():
    with pytest.raises(SurfaceUnavailable, match="check the cables"):
        choose_screen((), None)
