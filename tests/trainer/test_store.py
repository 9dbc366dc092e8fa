import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainer import tiny
from trainer import store
from trainer.store import SnapshotUnusable, load_state, save_state
from trainer.training_loop import step

# Warm start, the judge alone, R1 and all phases lie within six steps; step 3 is amid them.
COURSE = {"warm_start_kimg": 0.008, "seed": 3}


def _after(steps, training=None):
    training = training or tiny.training(**COURSE)
    for _ in range(steps):
        step(training)
    return training


def _differing(one, other):
    first, second = tiny.tensors(one), tiny.tensors(other)
    assert first.keys() == second.keys()
    return sorted(key for key in first if not torch.equal(first[key], second[key]))


@pytest.mark.parametrize("saved_after", [0, 1, 3, 4])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(tmp_path, saved_after):
    path = tmp_path / "state.safetensors"
    save_state(_after(saved_after), path)
    resumed = tiny.training(**{**COURSE, "seed": 99})
    resumed = type(resumed)(store.read_settings(path), resumed.pictures, resumed.networks)
    load_state(resumed, path)
    torch.manual_seed(saved_after)  # whatever the new process drew before must not matter
    straight, resumed = _after(6), _after(6 - saved_after, resumed)
    assert _differing(straight, resumed) == []
    assert straight.counters.cursor == resumed.counters.cursor == 24


@pytest.mark.parametrize(
    "part", ["optimiser.generator", "optimiser.discriminator", "optimiser.encoder", "counters"]
)
def test_a_resumed_run_without_one_part_becomes_another(part):
    straight, resumed = _after(6), _after(4)
    if part == "counters":
        resumed.counters.step, resumed.counters.cursor = 0, 0
    else:
        resumed.optimisers[part.partition(".")[2]].state.clear()
    assert _differing(straight, _after(2, resumed)) != []


@pytest.mark.parametrize(
    "lost",
    [
        "generator.mapping.w_avg",
        "average.mapping.fc0.weight",
        "discriminator.b4.out.bias",
        "encoder.head.weight",
        "optimiser.generator.exp_avg_sq.mapping.fc0.weight",
        "optimiser.discriminator.step.b4.out.bias",
    ],
)
def test_a_snapshot_without_one_tensor_is_refused_by_name(tmp_path, lost):
    path = tmp_path / "state.safetensors"
    save_state(_after(4), path)
    tensors = load_file(path)
    del tensors[lost]
    save_file(tensors, path, store._metadata(path))
    with pytest.raises(SnapshotUnusable, match=f"{lost} is missing; the snapshot is not complete"):
        load_state(tiny.training(**COURSE), path)


def test_a_snapshot_without_the_moments_of_an_optimiser_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(_after(4), path)
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("optimiser.generator")}
    save_file(kept, path, store._metadata(path))
    with pytest.raises(SnapshotUnusable, match="moments of optimiser generator are missing"):
        load_state(tiny.training(**COURSE), path)


def test_a_snapshot_of_other_networks_is_refused_with_both_shapes(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(_after(1), path)
    wider = tiny.ARCHITECTURE.model_copy(update={"encoder_width": 8})
    with pytest.raises(SnapshotUnusable, match=r"has shape \[4, 12, 3, 3\], expected \[8, 12"):
        load_state(tiny.training(**COURSE, architecture=wider), path)


def test_a_snapshot_of_another_data_set_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(_after(1), path)
    training = tiny.training(**COURSE)
    training.pictures.sha256 = "cd" * 32
    with pytest.raises(SnapshotUnusable, match=r"abababababab, found cdcdcdcdcdcd; name the data"):
        load_state(training, path)


def test_a_cut_file_is_refused_as_damaged(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(_after(1), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SnapshotUnusable, match=r"damaged .*resume from an earlier snapshot"):
        store.read_settings(path)


def test_a_network_file_cannot_be_resumed(tmp_path):
    path = tmp_path / "network.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(SnapshotUnusable, match="can be shown but not resumed"):
        store.read_counters(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SnapshotUnusable, match="nowhere: no such snapshot"):
        store.read_settings(tmp_path / "nowhere")


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    store.write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_bundled_size_of_a_state_stays_below_fifteen_megabytes():
    from trainer.settings import Settings
    from trainer.training import new_training

    training = new_training(Settings(), tiny.Patches())
    for name, optimiser in training.optimisers.items():
        for parameter in getattr(training.networks, name).parameters():
            optimiser.state[parameter] = {
                "step": torch.zeros([]),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    assert len(store.pack(training, "ab" * 32)) < 15e6
