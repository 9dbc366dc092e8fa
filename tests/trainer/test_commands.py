import json

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from models.card import read_card
from tests.trainer import tiny
from trainer import commands, publish, runs, session
from trainer.__main__ import app
from trainer.dataset import contents_sha256
from trainer.runs import RunUnusable

MACHINE = commands.Machine(threads=1, kid_pictures=0)


@pytest.fixture(autouse=True)
def small_grids(monkeypatch):
    monkeypatch.setattr(session, "GRID", (2, 1))
    monkeypatch.setattr(publish, "SHEET", (2, 1))


@pytest.fixture
def data(tmp_path):
    """A data set of plain pictures, written by hand."""
    folder = tmp_path / "data"
    folder.mkdir()
    images = ((tiny.Patches(24).images + 1) * 127).byte().numpy()
    manifest = b"{}\n" * len(images)
    np.save(folder / "images.npy", images)
    (folder / "manifest.jsonl").write_bytes(manifest)
    info = {"format": 1, "count": len(images), "size": images.shape[-1], "kind": "peeps"}
    info["sha256"] = contents_sha256(images, manifest)
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def _start(data, out, kimg=0.008, **changes):
    settings = tiny.settings(**{"warm_start_kimg": 0.004, **changes})
    return commands.start(settings, data, out, session.Pace(kimg), MACHINE, "wanderer train run")


def test_one_command_continues_where_a_killed_run_was(tmp_path, data):
    straight = _start(data, tmp_path / "straight", kimg=0.016)
    killed = _start(data, tmp_path / "killed", kimg=0.008)
    run = runs.find(killed.parents[1])
    run.append({"kimg": 0.012, "d_reals": 1.0})  # written after the last snapshot, then killed
    last = commands.resume(run.folder, None, session.Pace(0.016), MACHINE)
    assert last.name == straight.name
    one, other = (load_file(each / "state.safetensors") for each in (straight, last))
    assert one.keys() == other.keys()
    assert all(one[key].equal(other[key]) for key in one)
    assert [row["kimg"] for row in run.rows()] == [0.008, 0.016]


def test_a_changed_rate_makes_a_new_run_that_names_its_parent(tmp_path, data):
    first = _start(data, tmp_path / "first")
    last = commands.branch(
        first, None, tmp_path / "second", session.Pace(0.012), MACHINE,
        changes={"gamma": "0.5"}, command="wanderer train run",
    )  # fmt: skip
    run = runs.find(last.parents[1])
    assert run.origin.parent == f"first/{first.name}"
    assert run.settings.gamma == 0.5
    assert [row["kimg"] for row in run.rows()] == [0.008, 0.012]  # its past comes along


def test_pictures_of_another_size_are_refused_with_both_sizes(tmp_path, data):
    other = tiny.ARCHITECTURE.model_copy(update={"resolution": 32})
    with pytest.raises(RunUnusable, match="pictures of 16 px, expected 32 px; prepare the data"):
        _start(data, tmp_path / "run", architecture=other)


def test_a_run_without_a_snapshot_cannot_be_continued(tmp_path, data):
    origin = runs.Origin(str(data), "ab" * 32, "")
    runs.create(tmp_path / "run", tiny.settings(), origin)
    with pytest.raises(RunUnusable, match="no finished snapshot in this run; start it again"):
        commands.resume(tmp_path / "run", None, session.Pace(1), MACHINE)


def test_continuing_an_older_snapshot_would_lose_pictures_and_is_refused(tmp_path, data):
    first = _start(data, tmp_path / "run")
    commands.resume(first, None, session.Pace(0.012), MACHINE)  # the newest may be named
    with pytest.raises(RunUnusable, match=r"has gone on to kimg-000000\.012; .*branch off with"):
        commands.resume(first, None, session.Pace(0.016), MACHINE)


def test_a_state_alone_grows_into_a_new_run_only(tmp_path, data):
    state = _start(data, tmp_path / "run") / "state.safetensors"
    with pytest.raises(RunUnusable, match=r"a state alone is no run; .*--out NAME --data DATASET"):
        commands.resume(state, data, session.Pace(0.012), MACHINE)


def test_published_model_says_where_it_comes_from_and_what_it_cannot(tmp_path, data):
    last = _start(data, tmp_path / "run")
    runs.find(last.parents[1]).append({"kimg": 0.008, "kid_lite0": 0.5})
    runs.find(last.parents[1]).append({"kimg": 0.012, "kid_lite0": 0.4})
    made = publish.publish(last, tmp_path / "weights", "patches", with_state=True)
    card = read_card(made.card)
    assert (card.name, card.kind) == ("patches", "stylegan3-t")
    assert card.data_set["sha256"] == json.loads((data / "dataset.json").read_text())["sha256"]
    assert (card.training["kimg"], card.training["seed"]) == (0.008, 0)
    assert card.training["command"] == "wanderer train run"
    assert card.metrics == ({"kimg": 0.008, "kid_lite0": 0.5},)
    assert "never seen a photograph" in card.limits[0]
    assert made.sheet.is_file()
    state = tmp_path / "weights" / "patches.state.safetensors"
    resumed = commands.branch(
        state, data, tmp_path / "again", session.Pace(0.012), MACHINE,
        changes={}, command="wanderer train run",
    )  # fmt: skip
    assert runs.find(resumed.parents[1]).origin.parent == "patches.state.safetensors"


def test_limits_and_licence_of_another_data_set_stay_unknown(tmp_path, data):
    path = data / "dataset.json"
    path.write_text(path.read_text().replace("peeps", "photographs"))
    made = publish.publish(_start(data, tmp_path / "run"), tmp_path / "weights", "patches")
    card = read_card(made.card)
    assert (card.limits, card.licence) == (None, None)


def test_a_damaged_snapshot_is_not_published(tmp_path, data):
    last = _start(data, tmp_path / "run")
    (last / "network.safetensors").write_bytes(b"changed")
    with pytest.raises(RunUnusable, match="not a sound snapshot"):
        publish.publish(last, tmp_path / "weights", "patches")
    assert not (tmp_path / "weights").exists()


def test_weights_larger_than_eight_megabytes_are_not_published(tmp_path, data, monkeypatch):
    last = _start(data, tmp_path / "run")
    monkeypatch.setattr(publish, "MAX_WEIGHTS_BYTES", 100)
    with pytest.raises(RunUnusable, match="at most 100 are published; train a smaller network"):
        publish.publish(last, tmp_path / "weights", "patches")


# ---- the command line ------------------------------------------------------------------------


def _invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--kimg", "1"], "a new run needs --data DATASET and --out NAME"),
        (["--kimg", "1", "--resume", "/nowhere/at/all"], "expected a run's folder"),
        (["--kimg", "1", "--resume", "x", "--shape", "z_dim=3"], "keeps its networks"),
        (["--kimg", "1", "--resume", "x", "--gamma", "3"], "make a new run; name it with --out"),
        (["--kimg", "1", "--data", "d", "--out", "o", "--set", "gamma"], "expected NAME=VALUE"),
        (["--kimg", "1", "--data", "d", "--out", "o", "--set", "gama=1"], "gama: Extra inputs"),
        (["--kimg", "1", "--data", "/no/data", "--out", "o"], "/no/data"),
    ],
)
def test_a_wrong_command_is_answered_in_one_sentence(words, told):
    result = _invoke("run", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_command_line_trains_draws_the_curve_and_publishes(tmp_path, data):
    shape = tiny.ARCHITECTURE.model_dump()
    words = [word for name, value in shape.items() for word in ("--shape", f"{name}={value}")]
    run = _invoke(
        "run", "--data", data, "--out", tmp_path / "run", "--kimg", 0.008, "--batch", 4,
        "--warm-start", 0.004, "--threads", 1, "--kid-pictures", 0, "--set", "pull_codes=8",
        "--set", "feature_weight=0", *words,
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    last = run.stdout.strip().splitlines()[-1]
    assert last.endswith("kimg-000000.008")
    curve = _invoke("curve", tmp_path / "run")
    assert curve.exit_code == 0, curve.output
    assert (tmp_path / "run" / "curve.png").is_file()
    published = _invoke("publish", last, "--to", tmp_path / "weights", "--name", "patches")
    assert published.exit_code == 0, published.output
    assert (tmp_path / "weights" / "patches.safetensors").is_file()
