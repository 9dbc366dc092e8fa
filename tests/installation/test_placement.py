"""Where pictures land, for every size and turn."""

from hypothesis import given
from hypothesis import strategies as st

from installation.placement import place

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))
fits = st.sampled_from(["contain", "cover", "stretch"])
turns = st.sampled_from([0, 90, 180, 270])


def axes_on_surface(placement):
    """The spans along the surface's x and y."""
    spans = (placement.across, placement.up)
    return spans[::-1] if placement.swapped else spans


@given(sizes, sizes, fits, turns)
def test_visible_part_lies_within_the_view_and_the_picture(image, view, fit, turn):
    x, y, width, height = place(image, view, fit, turn).rectangle
    assert 0 <= x < x + width <= view[0]
    assert 0 <= y < y + height <= view[1]
    for span in axes_on_surface(place(image, view, fit, turn)):
        assert 0 <= span.hidden_px <= span.hidden_px + span.count_px <= span.extent_px


@given(sizes, sizes, turns)
def test_contained_picture_is_whole_and_touches_two_edges(image, view, turn):
    placement = place(image, view, "contain", turn)
    spans = axes_on_surface(placement)
    assert all(span.hidden_px == 0 and span.count_px == span.extent_px for span in spans)
    assert any(span.count_px == length for span, length in zip(spans, view, strict=True))


@given(sizes, sizes, turns)
def test_covering_picture_leaves_no_bars(image, view, turn):
    assert place(image, view, "cover", turn).rectangle == (0, 0, *view)


@given(sizes, sizes, turns)
def test_stretched_picture_is_whole_without_bars(image, view, turn):
    placement = place(image, view, "stretch", turn)
    assert placement.rectangle == (0, 0, *view)
    assert placement.across.hidden_px == placement.up.hidden_px == 0


@given(sizes, sizes, st.sampled_from(["contain", "cover"]), turns)
def test_bars_and_cuts_are_equal_on_both_sides(image, view, fit, turn):
    spans = axes_on_surface(place(image, view, fit, turn))
    for span, length in zip(spans, view, strict=True):
        bar_after = length - span.first_px - span.count_px
        cut_after = span.extent_px - span.count_px - span.hidden_px
        assert abs(span.first_px - bar_after) <= 1
        assert abs(span.hidden_px - cut_after) <= 1


@given(sizes, sizes, fits)
def test_half_a_turn_shows_the_same_rectangle(image, view, fit):
    upright, turned = place(image, view, fit), place(image, view, fit, 180)
    assert upright.rectangle == turned.rectangle
    assert not upright.across.reversed
    assert turned.across.reversed


def test_quarter_turns_swap_the_sides_of_a_wide_picture():
    assert place((200, 100), (100, 100), "contain").rectangle == (0, 25, 100, 50)
    assert place((200, 100), (100, 100), "contain", 90).rectangle == (25, 0, 50, 100)


@given(st.integers(1, 512), st.integers(1, 512))
def test_cubic_stays_on_the_line_and_grows_softer(texels, pixels):
    span = place((texels, texels), (pixels, pixels), "stretch").across
    b, c = span.cubic
    assert b + 2 * c == 1.0
    assert (b == 0.0) == (pixels <= texels)
    assert (b == 2 / 3) == (pixels >= 4 * texels)
