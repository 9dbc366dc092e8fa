import dataclasses
import hashlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from installation.latent import Drawn, Given, Seed
from installation.show import (
    Channel,
    InvalidShow,
    Pacing,
    Problem,
    Scene,
    Show,
    Walk,
    load_show,
    parse_show,
)
from installation.show_yaml import MAX_BYTES

ONE_SCENE = "title: T\nscenes:\n  - {name: a, model: testcard, walk: WALK, for: 10 min}\n"

FULL = """\
title: Everything
timezone: Europe/Berlin
hours: {Tu-Su: 10:00-18:00}
starts: 2026-12-01 10:00
pacing: {hold: 1 s, travel: 4 s, ease: sine, crossfade: 2 s, speed: 0.5}
channels:
  wall: {output: HDMI-1, fit: cover}
scenes:
  - name: dawn
    model: figures-64
    for: 1 h 30 min
    psi: 0.7
    pacing: {travel: 8 s}
    walk: {kind: loop, seed: 7, space: w, waypoints: [1, [0.5, -1, 2e-1], 3]}
  - {name: tide, model: shared/ffhq.safetensors, walk: {curve: spline}}
"""


def problems_of(text):
    with pytest.raises(InvalidShow) as caught:
        parse_show(text, "s.yaml")
    return caught.value.problems


def walk_of(walk):
    return parse_show(ONE_SCENE.replace("WALK", walk), "s.yaml").scenes[0].walk


def test_shortest_whole_show_has_everything_by_default():
    show = parse_show(ONE_SCENE.replace("WALK", "{kind: random, seed: 1}"), "s.yaml")
    scene = Scene("a", "testcard", Walk("random", "z", 1), 600.0, Pacing(), 1.0)
    assert show.scenes == (scene,)
    assert show.channels == (Channel("main", "window", "contain"),)
    assert (show.timezone, show.hours, show.starts) == (None, None, None)


def test_only_title_and_scenes_are_required():
    show = parse_show("title: 2026\nscenes: [{name: a, model: testcard}]", "s.yaml")
    assert (show.title, show.scenes) == ("2026", (Scene("a", "testcard"),))


def test_every_key_of_a_full_show_is_read():
    show = parse_show(FULL, "s.yaml")
    dawn, tide = show.scenes
    assert dawn.pacing == Pacing(1.0, 8.0, "sine", 2.0, 0.5)
    assert dawn.walk == Walk("loop", "w", 7, (Seed(1), Given((0.5, -1.0, 0.2)), Seed(3)))
    assert (dawn.for_s, dawn.psi) == (5400.0, 0.7)
    assert tide.pacing == show.pacing == Pacing(1.0, 4.0, "sine", 2.0, 0.5)
    assert (tide.walk.curve, tide.model) == ("spline", "shared/ffhq.safetensors")
    assert show.channels == (Channel("wall", "HDMI-1", "cover"),)
    assert show.starts == 1_796_115_600.0
    assert show.timezone == "Europe/Berlin"


def test_show_is_a_frozen_value_named_by_its_text():
    show, again = parse_show(FULL, "s.yaml"), parse_show(FULL, "s.yaml")
    assert show == again
    assert hash(show) == hash(again)
    assert show.sha256 == hashlib.sha256(FULL.encode()).hexdigest()
    with pytest.raises(dataclasses.FrozenInstanceError):
        show.title = "other"


@pytest.mark.parametrize(
    ("walk", "points"),
    [
        ("{kind: loop, seed: 9}", tuple(Drawn(9, index) for index in range(6))),
        ("{kind: waypoints, waypoints: 3}", tuple(Drawn(0, index) for index in range(3))),
        ("{kind: waypoints, waypoints: [5, 4]}", (Seed(5), Seed(4))),
    ],
)
def test_waypoints_are_listed_or_drawn_from_the_seed(walk, points):
    assert walk_of(walk).waypoints == points


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        (
            "{kind: rondom}",
            "`scenes[0].walk.kind` is `rondom`; expected one of random, waypoints, ",
        ),
        ("{waypoints: [1, 2]}", "`scenes[0].walk.waypoints` is of no use to a random walk"),
        ("{kind: loop, waypoints: [1]}", "`scenes[0].walk.waypoints` holds 1"),
        ("{kind: loop, waypoints: 1}", "expected a whole number from 2 to 10000"),
        ("{kind: loop, waypoints: [1, x]}", "a waypoint can't be `x`"),
        ("{kind: loop, waypoints: [1, -1]}", "a waypoint can't be `-1`"),
        ("{kind: loop, waypoints: [[1, 2], [1]]}", "have 1 and 2 numbers"),
        ("{kind: loop, waypoints: [[1, .inf], 1]}", "numbers up to 1e6 only"),
        ("{kind: loop, curve: spline}", "a loop walk meets its waypoints"),
        ("{seed: 4294967296}", "expected a whole number from 0 to 4294967295"),
        ("7", "`scenes[0].walk` is `7`; expected a table with kind, seed"),
    ],
)
def test_mistaken_walks_say_what_is_wrong(walk, message):
    (problem,) = problems_of(ONE_SCENE.replace("WALK", walk))
    assert message in problem.message
    assert problem.line == 3


@pytest.mark.parametrize("model", ["ffhq.pkl", "models/FFHQ.PKL"])
def test_pickle_is_refused_with_the_command_to_run(model):
    (problem,) = problems_of(f"title: T\nscenes: [{{name: a, model: {model}}}]")
    assert (problem.line, problem.column) == (2, 27)
    assert "a pickle is a program and is never loaded by a show" in problem.message
    assert f"run `./wanderer import-model {model}`" in problem.remedy


def test_all_problems_are_told_at_once_in_the_order_of_the_text():
    problems = problems_of(
        "titel: x\n"
        "scenes:\n"
        "  - {name: a, model: m, for: 10, psi: 9}\n"
        "  - {name: a, modle: m, seed: 1}\n"
        "channels: {a: {}, b: {}}\n"
    )
    assert [(problem.line, problem.column) for problem in problems] == [
        (1, 1),
        (1, 1),
        (3, 30),
        (3, 39),
        (4, 5),
        (4, 12),
        (4, 15),
        (4, 25),
        (5, 11),
    ]
    assert "did you mean `title`?" in problems[0].remedy
    assert problems[4].message == "`scenes[1]` has no `model`"
    assert problems[7].remedy == "write `seed` within `walk`"


def test_message_of_a_show_reads_like_a_compilers():
    with pytest.raises(InvalidShow) as caught:
        parse_show("title: T\nscenes: [{name: a, model: m, hours: 1}]", "shows/x.yaml")
    assert str(caught.value) == (
        "shows/x.yaml:2:30: unknown key `hours` in `scenes[0]`; "
        "use one of: name, model, walk, for, psi, pacing"
    )


def test_crossfade_longer_than_its_scene_is_refused_where_written():
    text = "title: T\nscenes: [{name: a, model: m, for: 2 s, pacing: {crossfade: 4 s}}]"
    (problem,) = problems_of(text)
    assert problem.message == "`scenes[0].for` is 2 s, shorter than its crossfade of 4 s"
    short = parse_show("title: T\nscenes: [{name: a, model: m, for: 2 s}]", "s.yaml").scenes[0]
    assert short.pacing.crossfade_s == 2.0


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ("{}", "has 0 channels; this version shows exactly one"),
        ("[main]", "is no table; this version shows exactly one"),
        ("{a b: {}}", "a channel can't be called `a b`"),
        ("{a: {fit: covr}}", "`channels.a.fit` is `covr`; expected one of contain, cover, stretch"),
    ],
)
def test_mistaken_channels_say_what_is_wrong(channels, message):
    (problem,) = problems_of(f"title: T\nscenes: [{{name: a, model: m}}]\nchannels: {channels}\n")
    assert message in problem.message


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "~", "''"])
def test_empty_show_is_told_what_it_needs(text):
    problems = problems_of(text)
    assert len(problems) == 1
    assert "title" in problems[0].message + problems[0].remedy


def test_show_without_scenes_asks_for_one():
    assert problems_of("title: T\nscenes: []")[0].message == "`scenes` is empty"
    assert problems_of("title: T\nscenes: a")[0].message == "`scenes` is `a`; expected a list"


def test_files_that_can_not_be_read_say_why(tmp_path):
    with pytest.raises(InvalidShow, match="can't be read: No such file or directory"):
        load_show(tmp_path / "none.yaml")
    with pytest.raises(InvalidShow, match="can't be read: Is a directory"):
        load_show(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("title: a\nnote: Café".encode("latin-1"))
    with pytest.raises(InvalidShow, match=r"latin.yaml:2:10: is not UTF-8 from here on"):
        load_show(latin)


def test_huge_file_is_refused_without_reading_it_all(tmp_path):
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (MAX_BYTES * 2))
    with pytest.raises(InvalidShow, match="the most is 256000 bytes"):
        load_show(huge)


def test_byte_order_mark_of_windows_is_understood(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbftitle: T\r\nscenes: [{name: a, model: m}]\r\n")
    assert load_show(path).title == "T"


def reads_or_refuses(text):
    try:
        assert isinstance(parse_show(text, "s.yaml"), Show)
    except InvalidShow as error:
        assert error.problems
        assert all(isinstance(problem, Problem) for problem in error.problems)
        assert str(error).isprintable() or "\n" in str(error)


@given(st.text(st.sampled_from("abz0-9:?,[]{}#&*!|>'\"%@`~ \n\t\\xuU<=.") | st.characters()))
@settings(max_examples=150)
@example('title: "\\U00110000"')
@example("? \n: - &a *a")
@example("%TAG ! tag:x,%FF:\n--- !a b")
@example('"\\ud800": 1')
@example("--- !<%FF> a")
def test_any_text_is_a_show_or_an_invalid_one(text):
    reads_or_refuses(text)


@given(
    st.lists(
        st.tuples(st.integers(0, len(FULL)), st.integers(0, 6), st.text(max_size=4)), max_size=4
    )
)
@settings(max_examples=150)
def test_damaged_shows_are_read_or_refused(damages):
    text = FULL
    for place, length, other in damages:
        text = text[:place] + other + text[place + length :]
    reads_or_refuses(text)


KEYS = st.sampled_from(
    "title timezone hours starts pacing scenes channels name model walk for psi hold travel ease "
    "crossfade speed kind seed waypoints space curve output fit Mo Tu-Su".split()
)
WORDS = st.sampled_from(["10 min", "closed", "10:00-18:00", "random", "loop", "spline", "UTC"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=7))
@settings(max_examples=200)
def test_known_keys_with_any_values_are_read_or_refused(tree):
    reads_or_refuses(json.dumps(tree))
