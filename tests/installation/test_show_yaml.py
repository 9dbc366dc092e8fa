import pytest

from installation.invalid_show import Problem
from installation.show_yaml import (
    MAX_BYTES,
    MAX_DEPTH,
    Mapping,
    Scalar,
    Sequence,
    quote,
    read_tree,
)


def only_problem(text):
    _, problems = read_tree(text)
    assert len(problems) == 1
    return problems[0]


def test_tree_keeps_values_texts_and_places():
    tree, problems = read_tree("title: A\nlist: [1, '2']\n")
    assert problems == ()
    assert isinstance(tree, Mapping)
    (_, title), (key, items) = tree.entries
    assert (title.value, title.mark.line, title.mark.column) == ("A", 1, 8)
    assert (key.text, key.mark.line) == ("list", 2)
    assert isinstance(items, Sequence)
    assert [item.value for item in items.items] == [1, "2"]


def test_quoted_numbers_are_texts():
    tree, _ = read_tree("'12'")
    assert isinstance(tree, Scalar)
    assert tree.value == "12"


def test_aliases_stand_for_their_anchor():
    tree, problems = read_tree("a: &x {b: 1}\nc: *x\n")
    assert problems == ()
    assert tree.entries[0][1] is tree.entries[1][1]


def test_empty_text_has_no_tree_and_no_problem():
    assert read_tree("") == (None, ())
    assert read_tree("# only a comment\n") == (None, ())


def test_key_given_twice_names_both_lines():
    problem = only_problem("title: A\nscenes: []\ntitle: B\n")
    assert problem == Problem(
        3, 1, "`title` stands here twice, first on line 1", "keep one of the two"
    )


def test_tab_in_the_indentation_asks_for_spaces():
    problem = only_problem("a:\n\tb: 1\n")
    assert (problem.line, problem.remedy) == (2, "indent with spaces")


def test_colon_in_a_text_asks_for_quotes():
    problem = only_problem("note: Th: late\n")
    assert (problem.line, problem.column) == (1, 9)
    assert "put quotes round a text with a colon in it" in problem.remedy


def test_missing_bracket_names_the_place():
    problem = only_problem("a: [1, 2\nb: 3\n")
    assert problem.line == 2
    assert problem.message.startswith("not YAML: ")
    assert "on the line before" in problem.remedy


def test_control_character_is_named_with_its_place():
    problem = only_problem("a: 1\nb: x\x00y\n")
    assert (problem.line, problem.column) == (2, 5)
    assert problem.message == "the character U+0000 may not stand in a show"


@pytest.mark.parametrize("text", ['"\\UFFFFFFFF"', "%YAML " + "9" * 9000 + ".1\n--- a"])
def test_numbers_beyond_all_bounds_are_a_problem(text):
    assert only_problem(text).message


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [ls]", "!x {a: 1}", "a: !!int 3"]
)
def test_tags_are_refused_and_never_acted_upon(text):
    assert "a tag (!...) stands here" in only_problem(text).message


def test_second_document_is_refused():
    assert "second document" in only_problem("a: 1\n---\nb: 2\n").message


@pytest.mark.parametrize("text", ["a: *b", "&a [*a]", "&a {b: *a}"])
def test_alias_without_finished_anchor_is_refused(text):
    assert "has no finished anchor" in only_problem(text).message


def test_list_as_a_key_is_refused():
    assert "where a key should" in only_problem("? [a, b]\n: c\n").message


def test_laughter_of_a_billion_aliases_is_cut_short():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    assert "too many values; the most is 50000" in only_problem("\n".join(lines)).message


def test_deep_nesting_is_refused_without_recursion():
    assert f"more than {MAX_DEPTH} deep" in only_problem("[" * 100_000).message
    assert f"more than {MAX_DEPTH} deep" in only_problem("- " * 1000).message


def test_large_text_is_refused_before_it_is_read():
    problem = only_problem("#" * (MAX_BYTES + 1))
    assert "256001 bytes; the most is 256000 bytes" in problem.message


def test_quoted_texts_are_short_and_printable():
    assert quote("ok") == "`ok`"
    assert quote("\x1b[31m\n") == "`\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}`"
    assert len(quote("x" * 5000)) == 62
