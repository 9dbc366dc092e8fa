"""The front door with a false Python behind it: what it sets up, repairs, says and runs."""

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Tells its arguments to a file, makes a .venv of itself, and fails where FAIL says so.
FALSE_PYTHON = """#!/usr/bin/env bash
printf '%s|%s|%s\\n' "$PWD" "$(echo "$*" | head -n 1)" "${PYTHONPATH:-}" >> "$TOLD"
if [[ -n ${FAIL:-} && $* == *"$FAIL"* ]]; then exit "${FAIL_CODE:-1}"; fi
case "$*" in
    "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    "- "*) echo "packages-of-$3" ;;
    -V) echo "Python 3.11.0" ;;
esac
"""
LIBRARIES = "libEGL.so.1 (libc6) => /x\n\tlibGL.so.1 (libc6) => /y\n"


@dataclass
class Door:
    """A copy of the script in a checkout of its own, and what the false Python was told."""

    checkout: Path
    path: Path
    told: Path

    def open(self, *arguments, at: Path | None = None, script: Path | None = None, **more):
        environment = {"PATH": f"{self.path}:{os.environ['PATH']}", "TOLD": str(self.told)}
        environment |= {"WANDERER_PYTHON": str(self.path / "python3.11"), **more}
        self.told.write_text("")
        return subprocess.run(
            [script or self.checkout / "wanderer", *arguments],
            cwd=at or self.checkout,
            env={name: value for name, value in environment.items() if value},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """The false Python's command lines, without looks at its version."""
        lines = [line.split("|")[1] for line in self.told.read_text().splitlines()]
        return [line for line in lines if line != "-V" and "import sys, venv" not in line]

    def last(self) -> list[str]:
        """Folder, command line and PYTHONPATH of the last call."""
        return self.told.read_text().splitlines()[-1].split("|")


def command(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def door(tmp_path) -> Door:
    checkout = tmp_path / "check out"  # people have spaces in their folders
    checkout.mkdir()
    for name in ("wanderer", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, checkout / name)
    path = tmp_path / "path"
    command(path, "python3.11", FALSE_PYTHON)
    command(path, "ldconfig", f"#!/bin/sh\ncat <<'X'\n{LIBRARIES}X\n")
    command(path, "id", "#!/bin/sh\necho 1000\n")
    command(path, "Xvfb", "#!/bin/sh\n")
    return Door(checkout, path, tmp_path / "told")


@pytest.fixture
def ready(door) -> Door:
    assert door.open("check").returncode == 0
    return door


def test_first_use_makes_the_environment_installs_and_runs(door):
    ended = door.open("run", "show.yaml", "--seconds", "3")
    venv, base, pip, run = door.calls()
    assert venv.startswith("-m venv --clear ") and base.endswith(" base")
    assert pip.startswith("-m pip install ")
    assert f"-c {door.checkout}/requirements.lock" in pip
    assert run == "-P -m installation run show.yaml --seconds 3"
    assert ended.returncode == 0 and ended.stdout == ""
    assert "wanderer: making .venv with" in ended.stderr and "wanderer: set up" in ended.stderr


def test_second_use_only_runs(ready):
    ended = ready.open("doctor")
    assert ready.calls() == ["-P -m installation doctor"]
    assert ended.stderr == ""


def test_it_works_from_anywhere_through_a_link_and_stays_there(ready, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = elsewhere / "show"
    link.symlink_to(ready.checkout / "wanderer")
    ready.open("check", "my show.yaml", at=elsewhere, script=link)
    assert ready.last() == [
        str(elsewhere),
        "-P -m installation check my show.yaml",
        str(ready.checkout),
    ]


def test_the_users_own_python_path_is_kept_behind_ours(ready):
    ready.open("check", PYTHONPATH="/theirs")
    assert ready.last()[2] == f"{ready.checkout}:/theirs"


def test_training_installs_its_own_packages_once(ready):
    ready.open("train", "run", "--kimg", "4")
    extra, pip, run = ready.calls()
    assert extra.endswith(" trainer") and pip.startswith("-m pip install")
    assert run == "-P -m trainer run --kimg 4"
    ready.open("train", "curve")
    assert ready.calls() == ["-P -m trainer curve"]


def test_a_failed_install_is_told_and_gone_on_with(door):
    ended = door.open("run", FAIL="-m pip")
    assert ended.returncode == 1
    assert "installing 'base' failed (above); run the same command again" in ended.stderr
    assert door.open("run").returncode == 0
    assert not any("venv --clear" in call for call in door.calls())


def test_an_install_that_was_killed_is_begun_from_nothing(door):
    ended = door.open("run", FAIL="-m pip", FAIL_CODE="137")
    assert "the set-up was broken off; the next run starts it again" in ended.stderr
    assert door.open("run").returncode == 0
    assert any("venv --clear" in call for call in door.calls())


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_changed_requirements_are_installed_into_the_same_environment(ready, name):
    with (ready.checkout / name).open("a") as file:
        file.write("# changed\n")
    ready.open("check")
    calls = ready.calls()
    assert any("-m pip install" in call for call in calls)
    assert not any("venv --clear" in call for call in calls)


def test_an_environment_whose_python_is_gone_is_made_again(ready):
    (ready.checkout / ".venv" / "bin" / "python").unlink()
    assert ready.open("check").returncode == 0
    assert any("venv --clear" in call for call in ready.calls())


def test_missing_opengl_is_told_with_one_command_and_the_program_still_runs(ready):
    command(ready.path, "ldconfig", "#!/bin/sh\n")
    ended = ready.open("check")
    assert "sudo apt-get install -y libegl1 libgl1 libgl1-mesa-dri" in ended.stderr
    assert ended.returncode == 0 and ready.calls() == ["-P -m installation check"]


def test_root_on_debian_gets_missing_packages_installed(ready, tmp_path):
    command(ready.path, "ldconfig", "#!/bin/sh\n")
    command(ready.path, "id", "#!/bin/sh\necho 0\n")
    command(ready.path, "apt-get", f'#!/bin/sh\necho "$*" >> "{tmp_path}/apt"\n')
    assert ready.open("check").stdout == ""
    update, install = (tmp_path / "apt").read_text().splitlines()
    assert update.startswith("update") and install.startswith("install -qy")
    assert install.endswith("libegl1 libgl1 libgl1-mesa-dri")


def test_a_python_that_is_too_old_is_refused_by_name(door):
    ended = door.open("run", FAIL="import sys, venv")
    assert ended.returncode == 1
    assert "python3.11 is not a Python 3.11 to 3.14 with venv" in ended.stderr


def test_the_tests_run_every_tool_in_turn_and_pytest_with_the_arguments(door, tmp_path):
    ended = door.open("test", "-k", "walk", at=tmp_path)
    tools = [call for call in door.calls() if call.startswith("-P ")]
    assert tools[0] == "-P -m ruff format --check ." and tools[1] == "-P -m ruff check ."
    assert tools[2] == "-P -m mypy" and "lint_imports" in tools[3]
    assert tools[4] == "-P -m pytest -k walk" and len(tools) == 5
    assert door.last()[0] == str(door.checkout)
    assert ended.returncode == 0 and "wanderer: test: all passed" in ended.stderr


def test_the_first_tool_that_fails_ends_the_tests_in_words(door):
    ended = door.open("test", FAIL="-m mypy")
    assert ended.returncode == 1
    assert "test: '-m mypy' failed (above); nothing after it was run" in ended.stderr
    assert door.calls()[-1] == "-P -m mypy"


def test_the_exit_code_of_the_program_is_passed_on(ready):
    assert ready.open("check", FAIL="-m installation", FAIL_CODE="2").returncode == 2
