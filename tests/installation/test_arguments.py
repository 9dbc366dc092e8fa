import pytest

from installation.arguments import BadArgument, moment, size_px


@pytest.mark.parametrize("text", ["640x480", "640X480", " 640 × 480 "])
def test_a_size_is_width_by_height(text):
    assert size_px(text) == (640, 480)


@pytest.mark.parametrize(
    "text", ["", "640", "0x5", "5x0", "axb", "99999x5", "-5x5", "5x5x5", "1.5x2"]
)
def test_a_size_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(BadArgument, match=r"expected width and height .* like 1920x1080"):
        size_px(text)


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("2026-12-24T18:00", None, 1798135200.0),
        ("2026-12-24T18:00", "Europe/Berlin", 1798131600.0),
        ("2026-12-24T18:00+03:00", "Europe/Berlin", 1798124400.0),
        ("2026-12-24", None, 1798070400.0),
        ("@12.5", "Europe/Berlin", 12.5),
    ],
)
def test_a_moment_is_read_in_the_zone_of_the_show(text, zone, seconds):
    assert moment(text, zone) == seconds


def test_without_a_moment_it_is_the_present():
    assert moment(None, None) > 1.7e9


@pytest.mark.parametrize("text", ["tomorrow", "@", "@x", "24.12.2026", "25:00"])
def test_a_moment_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(BadArgument, match=r"expected a date and time like 2026-12-24T18:00"):
        moment(text, None)
