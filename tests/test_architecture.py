"""Which part may know which: the import contracts, what loads at start, what each file says."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSES = ("installation", "models", "trainer")
SOURCES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
HEAVY = {"torch", "moderngl", "pyglet", "cuda", "fastapi"}
# Spelled in halves, or this file would find itself.
PRIVATE = [
    "/wo" + "rk/",
    "/tmp" + "/w/",
    "pypi" + ".org",
    "deb" + ".debian",
    "files.python" + "hosted",
]


def loaded_by(module: str) -> set[str]:
    """Top-level packages in memory after importing a module in a fresh Python."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-P", "-c", code]
    found = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_import_contracts_of_all_houses_hold():
    # In a process of its own: import-linter sets logging up anew and silences our loggers.
    code = (
        "from importlinter.cli import lint_imports as lint; raise SystemExit(lint(no_cache=True))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("module", ["installation.frame_plan", "models.testcard"])
def test_the_core_and_the_test_card_load_no_gpu_library(module):
    assert loaded_by(module) & HEAVY == set()


@pytest.mark.parametrize("module", ["installation.page_server", "installation.page"])
def test_the_live_page_never_loads_torch_or_opengl(module):
    assert loaded_by(module) & {"torch", "moderngl", "pyglet"} == set()


def test_the_command_line_starts_without_torch():
    assert "torch" not in loaded_by("installation.__main__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_opens_with_a_sentence_about_itself(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{path} needs a docstring: what it is, and what it refuses to know"
    first = docstring.split("\n\n")[0].replace("\n", " ")
    assert first[0].isupper() and first.rstrip().endswith((".", ":")), f"{path}: {first!r}"


@pytest.mark.parametrize("house", HOUSES)
def test_packages_export_nothing_from_their_front_door(house):
    tree = ast.parse((ROOT / house / "__init__.py").read_text())
    assert len(tree.body) == 1 and ast.get_docstring(tree)


def test_no_file_names_a_machine_or_a_registry():
    rooms = (".ci", "deploy", "docs", "installation", "models", "shows", "tests", "trainer")
    files = [*ROOT.glob("*"), *(path for room in rooms for path in (ROOT / room).rglob("*"))]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in files
        if path.is_file() and path.suffix not in {".pyc", ".safetensors"}
        for word in PRIVATE
        if word.encode() in path.read_bytes()
    ]
    assert found == []


def test_the_lock_pins_every_package_that_pyproject_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["trainer"], *extras["dev"]]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {_name(line) for line in lines if not line.startswith("#")}
    assert {_name(requirement) for requirement in asked} <= pinned
    assert all("==" in line and "+" not in line for line in lines if not line.startswith("#"))


def _name(requirement: str) -> str:
    for mark in "=<>!~[; ":
        requirement = requirement.split(mark)[0]
    return requirement.lower().replace("_", "-")
