import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.snapshot_pickle import read
from models.stored_attributes import UnfamiliarNetwork
from tests.models.snapshot_files import CASES, Module, expected_state, snapshot_bytes

ROOT = Path(__file__).parents[2]


def written(folder, raw):
    path = folder / "network-snapshot-000000.pkl"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", CASES)
def test_every_tensor_comes_back_bit_for_bit(tmp_path, kind, protocol):
    snapshot = read(written(tmp_path, snapshot_bytes(kind, protocol)))
    expected = expected_state(kind)
    assert snapshot.structure.kind == kind
    assert snapshot.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert np.array_equal(snapshot.tensors[name], tensor.numpy()), name


def test_names_of_numpy_one_are_read_alike(tmp_path):
    raw = snapshot_bytes("stylegan3-t", 2)
    assert b"numpy._core" in raw
    snapshot = read(written(tmp_path, raw.replace(b"numpy._core", b"numpy.core")))
    assert snapshot.structure.kind == "stylegan3-t"


def test_strided_and_half_precision_tensors_are_honoured(tmp_path):
    import torch

    state = expected_state("stylegan3-t")
    name = next(name for name in state if name.endswith("L0_36_16.weight"))
    state[name] = state[name].to(memory_format=torch.channels_last)
    state["synthesis.input.weight"] = state["synthesis.input.weight"].to(torch.bfloat16)
    state["mapping.w_avg"] = torch.arange(24.0)[3:19:2].to(torch.float64)
    snapshot = read(written(tmp_path, snapshot_bytes(state=state)))
    for key in (name, "synthesis.input.weight", "mapping.w_avg"):
        assert np.array_equal(snapshot.tensors[key], state[key].float().numpy()), key


def test_arguments_of_stylegan2_come_from_its_layers(tmp_path):
    def ada(attributes, kwargs):
        from tests.models.snapshot_files import stylegan2_attributes

        attributes.update(stylegan2_attributes(kwargs, clamp=None, half_precision=0))

    raw = snapshot_bytes("stylegan2", nested=True, change=ada)
    arguments = read(written(tmp_path, raw)).structure.arguments
    assert arguments["conv_clamp"] is None
    assert arguments["num_fp16_res"] == 0
    assert arguments["mapping_kwargs"] == {"num_layers": 2, "w_avg_beta": 0.995}
    assert arguments["channel_base"] == 256


def spoil(place, name, value):
    def change(attributes, kwargs):
        attributes[place][name] = value

    return change


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("synthesis.L3_52_13", "in_cutoff", np.float64(3.3)),
        ("synthesis.L3_52_13", "out_size", np.array([52, 53])),
        ("synthesis.L2_52_16", "padding", [1, 2, 1, 2]),
        ("synthesis.L0_36_16", "up_taps", 24),
        ("synthesis.L0_36_16", "conv_clamp", None),
        ("synthesis.L0_36_16", "down_radial", True),
        ("synthesis", "output_scale", 0.5),
        ("synthesis.input", "bandwidth", np.float64(4)),
    ],
)
def test_an_attribute_unlike_our_schedule_is_named(tmp_path, place, name, value):
    path = written(tmp_path, snapshot_bytes(change=spoil(place, name, value)))
    with pytest.raises(UnfamiliarNetwork, match=rf"{place}\.{name} = .* where our schedule has"):
        read(path)


def test_an_unknown_argument_is_named_with_its_value(tmp_path):
    def change(attributes, kwargs):
        kwargs["wavelets"] = 3

    with pytest.raises(UnfamiliarNetwork, match=r"wavelets: is unknown; known are .*channel_base"):
        read(written(tmp_path, snapshot_bytes(change=change)))


def test_a_network_of_other_structure_lists_its_classes(tmp_path):
    import pickle

    from tests.models.snapshot_files import throw_away_modules

    with throw_away_modules():
        raw = pickle.dumps({"G_ema": Module("TriPlane", {"_modules": {}})}, 4)
    with pytest.raises(UnfamiliarNetwork, match=r"unknown structure \(classes 'TriPlane'\)"):
        read(written(tmp_path, raw))


def test_another_persistence_version_is_refused(tmp_path):
    import pickle

    from models.pickle_machine import NotASnapshot
    from tests.models.snapshot_files import throw_away_modules

    with throw_away_modules():
        raw = pickle.dumps({"G_ema": Module("Generator", {}, version=7)}, 4)
    with pytest.raises(NotASnapshot, match="persistence version 7; only 6 is known"):
        read(written(tmp_path, raw))


def test_reading_needs_no_torch_and_imports_none(tmp_path):
    path = written(tmp_path, snapshot_bytes())
    program = (
        "import sys\n"
        "import models.registry, models.testcard, models.card, models.sheet, models.image_model\n"
        "from pathlib import Path\n"
        "from models.snapshot_pickle import read\n"
        "assert len(read(Path(sys.argv[1])).tensors) > 50\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
