"""What the README and the pages it leads to name is there."""

import re
from pathlib import Path

import pytest

from models.registry import find_model

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INSTALLATION_COMMANDS = {"run", "check", "still", "render", "import-model", "doctor", "bench"}
TRAINER_COMMANDS = {"prepare", "run", "curve", "publish"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_of_a_page_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [
        target
        for target in targets
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert missing == []


def test_every_file_on_the_map_exists():
    named = re.findall(r"`((?:installation|models|trainer)/[\w/.*]*)`", PAGES[0].read_text())
    assert len(named) > 15
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one(page):
    for words in re.findall(r"\./wanderer ([a-z-]+)(?: ([a-z]+))?", page.read_text()):
        if words[0] == "train":
            assert words[1] in {*TRAINER_COMMANDS, ""}
        else:
            assert words[0] in INSTALLATION_COMMANDS | {"test"}


def test_the_readme_opens_with_a_name_a_sentence_a_picture_and_two_commands():
    lines = [line for line in PAGES[0].read_text().splitlines() if line]
    assert lines[0] == "# Wanderer"
    block = PAGES[0].read_text().split("```")[1]
    assert re.findall(r"^\./wanderer (\w+)", block, flags=re.MULTILINE) == ["run", "test"]
    picture = PAGES[0].read_text().index("![")
    assert picture < PAGES[0].read_text().index("```")


def test_the_bundled_model_has_weights_a_card_and_a_state_to_go_on_from():
    weights = find_model("figures-64")
    assert weights.parent == ROOT / "models" / "weights"
    assert weights.stat().st_size <= 8e6
    assert (weights.parent / "figures-64.state.safetensors").stat().st_size <= 15e6
