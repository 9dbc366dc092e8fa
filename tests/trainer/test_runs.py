import json
from pathlib import Path

import pytest

from tests.trainer import tiny
from trainer import runs
from trainer.runs import Origin, RunUnusable

ORIGIN = Origin("/data", "ab" * 32, "wanderer train run")


def _run(tmp_path):
    return runs.create(tmp_path / "figures", tiny.settings(), ORIGIN)


def _snapshot(run, images):
    with runs.new_snapshot(run, images) as folder:
        (folder / "state.safetensors").write_bytes(b"%d" % images)
    return run.folder / "snapshots" / runs.snapshot_name(images)


def test_a_run_is_found_again_with_all_its_settings(tmp_path):
    made = _run(tmp_path)
    assert runs.find(made.folder) == made


def test_a_second_run_in_the_same_place_is_refused(tmp_path):
    _run(tmp_path)
    with pytest.raises(RunUnusable, match="there is a run already; continue it with --resume"):
        _run(tmp_path)


def test_a_folder_without_a_run_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(RunUnusable, match=r"no run\.json here.*wanderer train run --data"):
        runs.find(tmp_path)


def test_an_edited_run_that_makes_no_sense_is_refused_by_file(tmp_path):
    path = _run(tmp_path).folder / "run.json"
    path.write_text(path.read_text().replace('"batch": 4', '"batch": -4'))
    with pytest.raises(
        RunUnusable, match=r"run\.json: can't be read \(batch: Input should be greater .*found -4"
    ):
        runs.find(path.parent)


def test_bare_names_live_among_the_runs_and_paths_stay_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDERER_RUNS", str(tmp_path))
    assert runs.place("figures") == tmp_path / "figures"
    assert runs.place("./figures") == Path("figures")
    assert runs.place(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"


def test_what_exists_is_meant_before_a_run_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDERER_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert runs.named("a.state.safetensors") == tmp_path / "runs" / "a.state.safetensors"
    (tmp_path / "a.state.safetensors").touch()
    assert runs.named("a.state.safetensors") == Path("a.state.safetensors")


def test_snapshot_names_sort_by_age():
    images = [0, 16, 999, 1000, 12_304, 999_984, 25_000_000]
    names = [runs.snapshot_name(count) for count in images]
    assert names == sorted(names)
    assert runs.snapshot_name(12_304) == "kimg-000012.304"


def test_only_the_newest_snapshots_are_kept(tmp_path):
    run = _run(tmp_path)
    made = [_snapshot(run, images) for images in (1000, 2000, 3000)]
    run.drop_old(keep=2)
    assert run.snapshots() == made[1:]


def test_a_snapshot_that_was_cut_short_does_not_exist(tmp_path):
    run = _run(tmp_path)
    with pytest.raises(KeyError), runs.new_snapshot(run, 1000) as folder:
        (folder / "state.safetensors").write_bytes(b"half")
        raise KeyError
    assert run.snapshots() == []
    _snapshot(run, 1000)
    assert len(run.snapshots()) == 1


@pytest.mark.parametrize("harm", ["change", "delete", "delete sums"])
def test_resuming_passes_over_a_damaged_snapshot(tmp_path, harm):
    run = _run(tmp_path)
    sound, damaged = _snapshot(run, 1000), _snapshot(run, 2000)
    assert runs.newest_sound(run) == damaged
    if harm == "change":
        (damaged / "state.safetensors").write_bytes(b"2001")
    else:
        (damaged / ("SHA256SUMS" if "sums" in harm else "state.safetensors")).unlink()
    assert runs.newest_sound(run) == sound


def test_metrics_survive_a_last_line_that_was_cut_short(tmp_path):
    run = _run(tmp_path)
    run.append({"kimg": 1.0, "d_reals": 0.5})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"kimg": 2.0, "d_re')
    assert run.rows() == [{"kimg": 1.0, "d_reals": 0.5}]


def test_rows_after_the_snapshot_are_forgotten_on_resuming(tmp_path):
    run = _run(tmp_path)
    for kimg in (1.0, 2.0, 3.0):
        run.append({"kimg": kimg})
    run.forget_after(2000)
    assert run.rows() == [{"kimg": 1.0}, {"kimg": 2.0}]


def test_a_metric_that_is_no_number_is_never_written(tmp_path):
    run = _run(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        run.append({"kimg": 1.0, "kid_lite0": float("nan")})
    assert run.rows() == []


def test_two_processes_cannot_train_one_run(tmp_path):
    run = _run(tmp_path)
    with (
        runs.held(run),
        pytest.raises(RunUnusable, match="another process is training this run"),
        runs.held(run),
    ):
        pass
    with runs.held(run):
        pass


def test_run_file_says_where_a_run_comes_from(tmp_path):
    content = json.loads((_run(tmp_path).folder / "run.json").read_text())
    assert content["origin"]["data_sha256"] == "ab" * 32
    assert content["settings"]["architecture"]["resolution"] == 16
