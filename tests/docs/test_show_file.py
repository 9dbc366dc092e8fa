"""The reference of the show file says what the reader does."""

import re
from pathlib import Path

import pytest

from installation.show import (
    CHANNEL_KEYS,
    PACING_KEYS,
    SCENE_KEYS,
    SHOW_KEYS,
    WALK_KEYS,
    parse_show,
)

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "show-file.md").read_text()
HEADINGS = re.split(r"^(#{2,3} .+)$", REFERENCE, flags=re.MULTILINE)
SECTIONS = list(zip(HEADINGS[1::2], HEADINGS[2::2], strict=True))
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, flags=re.DOTALL)
KEYS = {
    "## The show": SHOW_KEYS,
    "## A scene": SCENE_KEYS,
    "## A walk": WALK_KEYS,
    "## Pacing": PACING_KEYS,
    "## A channel": CHANNEL_KEYS,
}


def keys_under(chapter):
    """The keys that have a heading in a chapter, with the text under each."""
    found, here = {}, None
    for heading, text in SECTIONS:
        if heading.startswith("## "):
            here = heading
        elif here == chapter:
            found[heading.removeprefix("### ").strip("`")] = text
    return found


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_every_example_of_the_reference_is_a_show(text):
    parse_show(text, "docs/show-file.md")


@pytest.mark.parametrize("chapter", KEYS)
def test_every_key_has_its_place_and_its_example(chapter):
    found = keys_under(chapter)
    assert set(found) == set(KEYS[chapter])
    for key, text in found.items():
        assert re.search(rf"```yaml\n.*\b{key}:.*```", text, flags=re.DOTALL), key
