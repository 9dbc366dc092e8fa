from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from installation.app import RenderOptions, RunOptions, rendered, run_show
from installation.model_shelf import require_models
from installation.show import parse_show
from models.registry import ModelUnavailable

pytestmark = pytest.mark.gl

WALK = """
title: A walk and a crossfade
pacing: {hold: 0 s, travel: 3 s, crossfade: 2 s}
scenes:
  - {name: a, model: testcard, walk: {kind: random, seed: 1}, for: 10 s}
  - {name: b, model: testcard, walk: {kind: random, seed: 2}, for: 10 s}
"""
BEGINS = 1_000_010.0  # in the crossfade from a to b


def frames(fps, seconds=2.0, size=(48, 48), begins=BEGINS, grid_hz=20.0):
    show = parse_show(WALK, "walk.yaml")
    options = RenderOptions(begins, round(fps * seconds), fps, size, grid_hz=grid_hz)
    return list(rendered(show, Path.cwd(), options))


def test_the_picture_of_a_moment_does_not_depend_on_how_often_frames_are_drawn():
    at_24, at_30, at_60 = (frames(fps) for fps in (24, 30, 60))
    for sixth in range(12):
        assert np.array_equal(at_24[4 * sixth], at_30[5 * sixth])
        assert np.array_equal(at_30[5 * sixth], at_60[10 * sixth])


def test_the_picture_of_a_moment_does_not_depend_on_when_rendering_began():
    assert np.array_equal(frames(10)[10], frames(10, begins=BEGINS + 1.0)[0])


def test_the_picture_moves_from_frame_to_frame_without_a_jump():
    films = np.stack(frames(30)).astype(int)
    steps = np.abs(np.diff(films, axis=0)).mean(axis=(1, 2, 3))
    assert steps.min() > 0.0
    assert steps.max() < 8.0  # of 255, between frames a thirtieth of a second apart


def test_a_rendered_frame_has_the_size_asked_for():
    assert frames(1, seconds=1.0, size=(40, 24))[0].shape == (24, 40, 3)


def test_a_missing_model_stops_a_show_before_it_opens():
    show = parse_show(WALK.replace("testcard", "nobody"), "walk.yaml")
    with pytest.raises(ModelUnavailable, match=r"nobody: no such model"):
        require_models(show, Path.cwd())


def test_waypoints_that_do_not_fit_the_model_stop_a_show_before_it_opens():
    show = parse_show(
        "title: Short\nscenes:\n"
        "  - {name: a, model: testcard, walk: {kind: loop, waypoints: [[1, 2, 3], [4, 5, 6]]}}\n",
        "short.yaml",
    )
    with pytest.raises(
        ModelUnavailable, match=r"scene 'a': a waypoint of 3 numbers; expected 16, as model"
    ):
        require_models(show, Path.cwd())


def test_a_run_without_a_display_writes_frames_tells_its_address_and_ends(tmp_path):
    show = parse_show(WALK, "walk.yaml")
    said = []
    options = RunOptions(
        size=(64, 48), seconds=1.0, frames=tmp_path, headless=True, fps=20, port=0, device="cpu"
    )
    run_show(show, Path.cwd(), options, stopped=lambda: False, say=said.append)
    (line,) = said
    assert line.startswith("The picture is at http://127.0.0.1:")
    written = sorted(tmp_path.iterdir())
    assert written[0].name == "frame-000000.png"
    first = np.asarray(Image.open(written[0]))
    assert first.shape == (48, 64, 3)
    assert first.max() > 100  # undimmed from the first frame


def test_a_run_ends_when_it_is_told_to(tmp_path):
    show = parse_show(WALK, "walk.yaml")
    asked = []

    def stopped():
        asked.append(1)
        return len(asked) > 5

    options = RunOptions(size=(32, 32), frames=tmp_path, headless=True, fps=60, port=0)
    run_show(show, Path.cwd(), options, stopped, say=lambda line: None)
    assert len(list(tmp_path.iterdir())) == 5
