import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from installation.__main__ import main

SHOW = """\
title: Small
scenes:
  - {name: a, model: testcard, walk: {kind: random, seed: 1}, for: 10 min}
"""
COMMANDS = {"run", "check", "still", "render", "import-model", "doctor", "bench"}


@pytest.fixture
def show(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SHOW)
    return path


def test_the_commands_are_these_and_growth_must_be_argued_for(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    listed = text[text.index("Commands") :].splitlines()[1:]
    names = {line[2:].split()[0] for line in listed if line[2:3].isalpha()}
    assert names == COMMANDS


def test_a_good_show_is_told_and_gives_zero(show, capsys):
    assert main(["check", str(show)]) == 0
    assert capsys.readouterr().out == f"{show}: good. 'Small': a (testcard)\n"


def test_every_bad_show_is_told_and_gives_two(tmp_path, show, capsys):
    (tmp_path / "typo.yaml").write_text(SHOW.replace("title", "titel"))
    (tmp_path / "model.yaml").write_text(SHOW.replace("testcard", "testcrad"))
    names = [str(tmp_path / name) for name in ("typo.yaml", "model.yaml", "small.yaml")]
    assert main(["check", *names]) == 2
    said = capsys.readouterr()
    assert "titel" in said.err
    assert "did you mean 'testcard'?" in said.err
    assert said.out.startswith(f"{show}: good.")


def test_a_file_that_is_not_there_is_told_in_one_sentence(capsys):
    assert main(["check", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_size_that_is_none_is_told_and_nothing_is_written(show, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert main(["still", str(show), "-o", str(out), "--size", "big"]) == 2
    assert "like 1920x1080" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.gl
def test_a_still_is_a_picture_of_the_size_asked_for(show, tmp_path):
    out = tmp_path / "out.png"
    arguments = ["still", str(show), "-o", str(out), "--size", "40x30", "--at", "@1000"]
    assert main([*arguments, "--device", "cpu"]) == 0
    with Image.open(out) as picture:
        assert picture.size == (40, 30)


@pytest.mark.gl
def test_a_rendering_is_a_folder_of_frames_or_an_array(show, tmp_path):
    import numpy as np

    common = ["render", str(show), "--from", "2026-11-22T10:00", "--seconds", "0.2"]
    common += ["--fps", "20", "--size", "24x24", "--device", "cpu"]
    assert main([*common, "-o", str(tmp_path / "frames")]) == 0
    assert main([*common, "-o", str(tmp_path / "frames.npy")]) == 0
    files = sorted((tmp_path / "frames").iterdir())
    array = np.load(tmp_path / "frames.npy")
    assert len(files) == len(array) == 4
    for file, frame in zip(files, array, strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), frame)


@pytest.mark.gl
def test_a_film_of_another_kind_is_refused_with_what_can_be_had(show, tmp_path, capsys):
    arguments = ["render", str(show), "--seconds", "1", "-o", str(tmp_path / "film.xyz")]
    assert main(arguments) == 2
    assert "can't be written as '.xyz'" in capsys.readouterr().err


@pytest.mark.gl
def test_ctrl_c_ends_a_running_show_cleanly(show, tmp_path):
    import signal

    frames = tmp_path / "frames"
    command = [sys.executable, "-m", "installation", "run", str(show), "--frames", str(frames)]
    process = subprocess.Popen(
        [*command, "--size", "32x32", "--port", "0", "--device", "cpu"],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "The picture is at" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in rest
