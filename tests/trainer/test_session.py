import json
import logging
import signal

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.card import read_card
from models.registry import load_model
from tests.trainer import tiny
from trainer import runs, session
from trainer.session import Pace, Stop, carry_on, stoppable

QUICK = {"warm_start_kimg": 0.004, "discriminator_alone_steps": 1}


def _run(tmp_path, **changes):
    settings = tiny.settings(**{**QUICK, **changes})
    origin = runs.Origin("/data", tiny.Patches.sha256, "wanderer train run")
    return runs.create(tmp_path / "figures", settings, origin)


@pytest.fixture(autouse=True)
def small_grids(monkeypatch):
    monkeypatch.setattr(session, "GRID", (2, 1))


@pytest.fixture
def training():
    return tiny.training(**QUICK)


def test_a_run_ends_at_its_goal_with_a_snapshot(tmp_path, training):
    run = _run(tmp_path)
    last = carry_on(run, training, Pace(kimg=0.012), Stop())
    assert training.counters.images == 12
    assert run.snapshots() == [last]
    names = {path.name for path in last.iterdir()}
    assert names == {
        "state.safetensors",
        "network.safetensors",
        "network.card.yaml",
        "fakes.png",
        "reconstructions.png",
        "SHA256SUMS",
    }
    assert runs.is_sound(last)


def test_snapshots_come_at_the_pace_asked_for(tmp_path, training):
    run = _run(tmp_path)
    carry_on(run, training, Pace(kimg=0.02, snapshot_kimg=0.008, keep=9), Stop())
    assert [path.name for path in run.snapshots()] == [
        "kimg-000000.008",
        "kimg-000000.016",
        "kimg-000000.020",
    ]


def test_snapshots_come_by_the_minute_when_no_pace_is_given(tmp_path, training):
    run = _run(tmp_path)
    pace = Pace(kimg=0.012, snapshot_minutes=0.0, report_s=0.0, keep=9)
    carry_on(run, training, pace, Stop())
    assert [path.name for path in run.snapshots()][-1] == "kimg-000000.012"
    assert len(run.snapshots()) == 3


def test_rows_say_phase_place_pace_and_losses(tmp_path, training):
    run = _run(tmp_path)
    carry_on(run, training, Pace(kimg=0.012, report_s=0.0), Stop())
    rows = run.rows()
    assert [row["phase"] for row in rows] == ["warm start", "adversarial", "adversarial"]
    assert [row["kimg"] for row in rows] == [0.004, 0.008, 0.012]
    assert rows[0]["reconstruction"] > 0
    assert {"d_fakes", "d_reals", "g_fakes", "real_sign", "s_per_kimg"} <= rows[-1].keys()


def test_what_is_measured_joins_the_row_of_its_snapshot(tmp_path, training):
    run, asked = _run(tmp_path), []

    def measure(draw):
        asked.append(draw(100, 3).shape)
        return {"kid_lite0": -0.25}

    carry_on(run, training, Pace(kimg=0.004), Stop(), measure=measure)
    assert asked == [(3, 3, 16, 16)]
    assert run.rows()[-1]["kid_lite0"] == -0.25
    assert run.rows()[-1]["kimg"] == 0.004


def test_a_request_to_stop_finishes_the_step_and_saves(tmp_path, training):
    run, stop = _run(tmp_path), Stop()

    class Last(tiny.Patches):
        def batch(self, indices):
            stop.asked = "SIGTERM"
            return super().batch(indices)

    training.pictures = Last()
    last = carry_on(run, training, Pace(kimg=100), stop)
    assert last.name == "kimg-000000.004"
    assert runs.is_sound(last)


def test_first_signal_asks_and_second_one_kills():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked == "SIGTERM"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_stops_before_writing_and_says_so(tmp_path, training, monkeypatch):
    run = _run(tmp_path)
    usage = type("Usage", (), {"free": 5 * 2**20})
    monkeypatch.setattr(session.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(runs.RunUnusable, match=r"5 MiB free, at least 200 needed .*--resume"):
        carry_on(run, training, Pace(kimg=0.004), Stop())
    assert run.snapshots() == []


def test_snapshot_network_is_a_model_that_a_show_can_load(tmp_path, training):
    run = _run(tmp_path)
    last = carry_on(run, training, Pace(kimg=0.012), Stop())
    card = read_card(last / "network.card.yaml")
    assert (card.resolution, card.data_set) == (16, {"sha256": tiny.Patches.sha256})
    model = load_model(last / "network.safetensors", device="cpu", precision="float32")
    made = torch.as_tensor(model.synthesize(model.map(torch.ones(1, 8).numpy())))
    with torch.inference_mode():
        expected = training.networks.average(torch.ones(1, 8))
    assert torch.allclose(made, expected, atol=1e-4)
    weights = load_file(last / "network.safetensors")
    assert weights.keys() == training.networks.average.state_dict().keys()


def test_grid_shows_fixed_latents_of_the_average(tmp_path, training):
    run = _run(tmp_path)
    last = carry_on(run, training, Pace(kimg=0.004), Stop())
    with Image.open(last / "fakes.png") as grid:
        assert grid.size == (2 * 34 + 2, 34 + 2)
    first, again = session.pictures(training, 3, 2), session.pictures(training, 4, 1)
    assert torch.allclose(first[1:], again, atol=1e-6)


def test_log_tells_each_row_and_each_snapshot(tmp_path, training, caplog):
    run = _run(tmp_path)
    with caplog.at_level(logging.INFO, logger="wanderer.train"):
        carry_on(run, training, Pace(kimg=0.004), Stop())
    assert "warm start" in caplog.text
    assert "saved kimg-000000.004" in caplog.text
    assert json.loads((run.folder / "metrics.jsonl").read_text())["phase"] == "warm start"
