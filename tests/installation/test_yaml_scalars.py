import math

import pytest

from installation.yaml_scalars import resolve


@pytest.mark.parametrize(
    "text",
    [
        "10:00",
        "24:00",
        "9:30",
        "off",
        "on",
        "no",
        "yes",
        "y",
        "2026-12-24",
        "1_000",
        "0b11",
        "1e",
        ".",
        "<<",
        "=",
        "+",
        "٣",
    ],
)
def test_what_yaml_1_1_bends_stays_a_text(text):
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("0123", 123),
        ("0o17", 15),
        ("0xff", 255),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("2.", 2.0),
        ("-.inf", -math.inf),
        ("true", True),
        ("FALSE", False),
    ],
)
def test_core_schema_scalars_become_values(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL"])
def test_empty_scalars_are_nothing(text):
    assert resolve(text) is None


def test_not_a_number_is_read_as_such():
    assert math.isnan(resolve(".nan"))


def test_endless_digits_stay_a_text():
    assert isinstance(resolve("9" * 5000), str)
