import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from models.architecture import build
from models.card import read_card
from models.pickle_machine import NotASnapshot
from models.registry import ModelUnavailable, load_model
from models.snapshot_import import AlreadyThere, import_snapshot
from models.stored_attributes import UnfamiliarNetwork
from models.weights_header import file_sha256
from tests.models.snapshot_files import CASES, case_of, expected_state, snapshot_bytes


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


def pickled(tmp_path, raw=None, name="network-snapshot-000200"):
    path = tmp_path / f"{name}.pkl"
    path.write_bytes(raw or snapshot_bytes())
    return path


@pytest.mark.parametrize("kind", CASES)
def test_an_imported_snapshot_draws_what_its_network_draws(tmp_path, folder, kind):
    imported = import_snapshot(pickled(tmp_path, snapshot_bytes(kind)), folder)
    state = expected_state(kind)
    generator = build(kind, case_of(kind)["kwargs"]).eval()
    generator.load_state_dict(state, strict=True)
    z, c = np.random.RandomState(3).randn(1, 8), np.eye(3)[:1]
    with torch.inference_mode():
        expected = generator(torch.from_numpy(z).float(), torch.from_numpy(c).float())
    model = load_model(imported.weights, device="cpu", precision="float32")
    assert torch.allclose(model.synthesize(model.map(z, c)), expected, atol=1e-4, rtol=1e-4)
    assert load_file(imported.weights).keys() == state.keys()


def test_the_card_says_what_is_known_and_no_more(tmp_path, folder):
    pkl = pickled(tmp_path)
    imported = import_snapshot(pkl, folder)
    card = read_card(imported.card)
    assert (card.name, card.kind, card.resolution) == (pkl.stem, "stylegan3-t", 32)
    assert (card.z_dim, card.c_dim, card.w_dim, card.num_ws) == (8, 3, 8, 8)
    assert card.sha256 == file_sha256(imported.weights)
    assert card.source.sha256 == file_sha256(pkl)
    assert (card.source.file, card.source.network) == (pkl.name, "G_ema")
    assert card.licence is card.data_set is card.training is card.metrics is None
    assert "/home/someone" not in imported.card.read_text()


def test_the_contact_sheet_holds_sixteen_pictures(tmp_path, folder):
    imported = import_snapshot(pickled(tmp_path), folder)
    assert str(imported).endswith("network-snapshot-000200.sheet.png")
    with Image.open(imported.sheet) as sheet:
        assert sheet.size == (4 * 258 + 2, 4 * 258 + 2)


def test_a_second_import_changes_nothing(tmp_path, folder):
    pkl = pickled(tmp_path)
    imported = import_snapshot(pkl, folder)
    edited = imported.card.read_text().replace("licence: null", "licence: CC0")
    imported.card.write_text(edited)
    assert import_snapshot(pkl, folder) == imported
    assert imported.card.read_text() == edited
    assert len(list(folder.iterdir())) == 3


def test_another_model_of_the_same_name_is_never_overwritten(tmp_path, folder):
    imported = import_snapshot(pickled(tmp_path), folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    other = pickled(tmp_path, snapshot_bytes(seed=9))
    with pytest.raises(AlreadyThere, match=r"holds another model of this name; .*--to"):
        import_snapshot(other, folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    imported.weights.unlink()
    with pytest.raises(AlreadyThere, match=r"is there without network-snapshot-000200"):
        import_snapshot(other, folder)


def test_a_refused_file_leaves_nothing_behind(tmp_path, folder):
    with pytest.raises(NotASnapshot, match="web page"):
        import_snapshot(pickled(tmp_path, b"<html>"), folder)
    state = expected_state("stylegan3-t")
    state["synthesis.L0_36_16.affine.weight"] = torch.zeros(16, 9)
    with pytest.raises(UnfamiliarNetwork, match=r"affine.weight has shape \[16, 9\]; expected"):
        import_snapshot(pickled(tmp_path, snapshot_bytes(state=state)), folder)
    del state["mapping.fc1.bias"]
    with pytest.raises(UnfamiliarNetwork, match=r"the weights lack mapping.fc1.bias"):
        import_snapshot(pickled(tmp_path, snapshot_bytes(state=state)), folder)
    assert not folder.exists()


def test_import_goes_where_shows_find_models(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    stages = []
    imported = import_snapshot(pickled(tmp_path, name="ours"), report=stages.append)
    assert imported.weights == tmp_path / "data" / "wanderer" / "models" / "ours.safetensors"
    assert load_model("ours", device="cpu", beside=tmp_path).num_ws == 8
    assert len(stages) == 3


def test_the_name_of_the_test_card_is_taken(tmp_path, folder):
    with pytest.raises(AlreadyThere, match="built-in model; rename the file"):
        import_snapshot(pickled(tmp_path, name="testcard"), folder)


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelUnavailable, match="file/x: can't be written to"):
        import_snapshot(pickled(tmp_path), tmp_path / "file" / "x")
