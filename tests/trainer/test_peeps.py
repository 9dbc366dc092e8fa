import json
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import peeps
from trainer.peeps import Peep, draw, peep, svg

PLAIN = Peep("amber", "short1", "black", "calm", None, None, "sky", "mist")


def rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def has_colour(picture, colour):
    """Whether some pixel of uint8 [3, S, S] is within 6 levels of "#rrggbb"."""
    distance = np.abs(picture.astype(int) - np.array(rgb(colour))[:, None, None]).max(0)
    return bool((distance <= 6).any())


def test_figures_of_a_seed_are_those_of_the_bundled_data_set():
    # The data set of the bundled model begins and ends with these; a change needs a new RECIPE.
    assert peep(1, 0) == Peep(
        "porcelain", "mediumBangs", "straw", "calm", None, None, "apricot", "mist"
    )
    assert peep(1, 19999) == Peep(
        "porcelain", "twists2", "black", "explaining", "full", None, "navy", "rose"
    )


@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 10**9))
def test_every_attribute_comes_from_its_table(seed, index):
    figure = peep(seed, index)
    assert figure == peep(seed, index)
    assert figure.skin in peeps.SKINS
    assert figure.head in peeps.HEADS
    assert figure.hair_colour in peeps.HAIR_COLOURS
    assert figure.face in peeps.FACES
    assert figure.facial_hair in (None, *peeps.FACIAL_HAIR)
    assert figure.accessories in (None, *peeps.ACCESSORIES)
    assert figure.clothing in peeps.CLOTHING
    assert figure.background in peeps.BACKGROUNDS


def test_all_kinds_occur_and_skins_are_equally_frequent():
    figures = [peep(3, index) for index in range(4000)]
    assert {figure.head for figure in figures} == set(peeps.HEADS)
    assert {figure.face for figure in figures} == set(peeps.FACES)
    skins = Counter(figure.skin for figure in figures)
    assert all(700 < skins[name] < 900 for name in peeps.SKINS)
    bearded = sum(figure.facial_hair is not None for figure in figures) / 4000
    assert bearded == pytest.approx(0.18, abs=0.03)
    black = sum(figure.hair_colour == "black" for figure in figures) / 4000
    assert black == pytest.approx(0.46, abs=0.03)


def test_attributes_are_chosen_independently_of_each_other():
    pairs = Counter((peep(5, i).skin, peep(5, i).background) for i in range(3000))
    assert len(pairs) == len(peeps.SKINS) * len(peeps.BACKGROUNDS)
    assert min(pairs.values()) > 60  # 100 expected


def test_a_figure_is_drawn_the_same_whatever_was_drawn_before():
    alone = peeps.draw_range(9, 7, 8, 32)
    among_others = peeps.draw_range(9, 5, 9, 32)
    np.testing.assert_array_equal(alone[0], among_others[2])


def test_a_picture_is_red_first_bytes_with_a_plain_background():
    picture = draw(PLAIN, 64)
    assert (picture.shape, picture.dtype) == ((3, 64, 64), np.uint8)
    for row, column in ((0, 0), (0, 63), (30, 1), (30, 62)):
        assert picture[:, row, column].tolist() == rgb(peeps.BACKGROUNDS["mist"])


@pytest.mark.parametrize("field", ["skin", "clothing", "background"])
def test_every_named_colour_can_be_seen_in_its_picture(field):
    tables = {
        "skin": peeps.SKINS,
        "clothing": peeps.CLOTHING,
        "background": peeps.BACKGROUNDS,
    }
    for name, colour in tables[field].items():
        assert has_colour(draw(replace(PLAIN, **{field: name}), 48), colour), name


def test_hair_takes_its_colour_while_the_face_stays_inked():
    picture = draw(replace(PLAIN, head="afro", hair_colour="copper"), 64)
    assert has_colour(picture, peeps.HAIR_COLOURS["copper"])
    markup = svg(replace(PLAIN, head="afro", hair_colour="copper"))
    assert "#000000" in markup


def test_bald_heads_keep_black_outlines_for_any_hair_colour():
    bald = [svg(replace(PLAIN, head="noHair1", hair_colour=c)) for c in ("black", "straw")]
    assert bald[0] == bald[1]


def test_each_attribute_changes_the_drawing():
    other = Peep("umber", "afro", "silver", "smileBig", "full", "glasses", "brick", "rose")
    plain = svg(PLAIN)
    for name, value in other.row().items():
        if name != "hair_colour":  # short1 with another hair is covered by the afro above
            assert svg(replace(PLAIN, **{name: value})) != plain, name


def test_the_style_has_every_part_that_the_tables_name():
    style = json.loads(files("dicebear_styles").joinpath("open-peeps.json").read_text("utf-8"))
    parts = {name: set(part["variants"]) for name, part in style["components"].items()}
    assert set(peeps.HEADS) <= parts["head"]
    assert set(peeps.FACES) <= parts["expression"]
    assert set(peeps.FACIAL_HAIR) <= parts["facialHair"]
    assert set(peeps.ACCESSORIES) <= parts["accessories"]
    assert "CC0" in style["meta"]["license"]["name"]


def test_the_recipe_names_every_package_that_draws():
    assert set(peeps.recipe()) == {
        "recipe", "dicebear-core", "dicebear-styles", "resvg-py", "pillow"
    }  # fmt: skip
