import pytest

from installation.show_fields import Report, Table, nearest, parse_duration
from installation.show_yaml import read_tree

KEYS = ("name", "speed", "hold", "walk")


def table(text):
    tree, problems = read_tree(text)
    assert problems == ()
    return Table(tree, "scenes[0]", KEYS, Report(), {"seed": "walk"})


def messages(part):
    return [f"{problem.message}; {problem.remedy}" for problem in part.report.problems]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10 min", 600),
        ("90 s", 90),
        ("1 h 30 min", 5400),
        ("0.5 s", 0.5),
        ("10min", 600),
        ("1h30min", 5400),
        ("2 d", 172_800),
        ("250 ms", 0.25),
        ("0 s", 0),
    ],
)
def test_durations_are_read_as_curators_write_them(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "10", "10 m", "ten s", "-3 s", "30 min 1 h", "1 s 1 s", "1e3 s", "1,5 s", "٣ s", "s"],
)
def test_anything_else_is_no_duration(text):
    assert parse_duration(text) is None


def test_unknown_key_is_told_its_nearest_spelling():
    part = table("{spede: 2}")
    assert messages(part) == ["unknown key `spede` in `scenes[0]`; did you mean `speed`?"]
    assert (part.report.problems[0].line, part.report.problems[0].column) == (1, 2)


def test_key_of_another_table_is_told_its_home():
    assert messages(table("{seed: 2}")) == [
        "unknown key `seed` in `scenes[0]`; write `seed` within `walk`"
    ]


def test_unlike_key_is_told_all_there_are():
    assert messages(table("{qqq: 2}"))[0].endswith("use one of: name, speed, hold, walk")


def test_list_where_a_table_belongs_is_a_problem():
    assert messages(table("[1]")) == [
        "`scenes[0]` is a list; expected a table with name, speed, hold, walk; "
    ]


@pytest.mark.parametrize(
    "value", ["fast", "true", "-1", "99", ".nan", ".inf", "[1]", "''", "1" * 399]
)
def test_number_out_of_reach_keeps_the_default(value):
    part = table(f"{{speed: {value}}}")
    assert part.number("speed", 1.5, 0.0, 10.0) == 1.5
    assert "expected a number from 0 to 10" in messages(part)[0]


@pytest.mark.parametrize("value", ["1.5", "true", "-1", "11", "x"])
def test_only_whole_numbers_are_whole(value):
    part = table(f"{{speed: {value}}}")
    assert part.whole("speed", 3, 0, 10) == 3
    assert "expected a whole number from 0 to 10" in messages(part)[0]


def test_duration_without_unit_is_told_how_to_write_it():
    part = table("{hold: 10}")
    assert part.duration("hold", 2.0, 0.0, 60.0) == 2.0
    assert messages(part) == [
        "`scenes[0].hold` is `10`; expected a duration with its unit; "
        "write a duration as 90 s, 10 min or 1 h 30 min"
    ]


def test_duration_out_of_range_is_told_the_range():
    part = table("{hold: 2 h}")
    assert part.duration("hold", 2.0, 0.0, 60.0) == 2.0
    assert "`scenes[0].hold` is `2 h`; expected 0 s to 60 s" in messages(part)[0]


@pytest.mark.parametrize("value", ["''", '"a\\nb"', "[1]", "null", "x" * 300, '"\\ud800"'])
def test_texts_are_one_printable_line(value):
    part = table(f"{{name: {value}}}")
    assert part.text("name", "default") == "default"
    assert len(messages(part)) == 1


def test_numbers_may_stand_for_texts():
    assert table("{name: 2026}").text("name") == "2026"


def test_missing_keys_give_defaults_in_silence():
    part = table("{}")
    assert part.text("name", "n") == "n"
    assert part.number("speed", 1.0, 0.0, 2.0) == 1.0
    assert part.table("walk", ("kind",)) is None
    assert part.items("walk") == ()
    assert messages(part) == []


def test_nearest_word_is_found_or_all_are_listed():
    assert nearest("rondom", ("random", "loop")) == "did you mean `random`?"
    assert nearest("x", ("random", "loop")) == "use one of: random, loop"
    assert nearest("x", ("random",), "write it so") == "write it so"
