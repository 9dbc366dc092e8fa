import json
import shutil

import numpy as np
import pytest
import torch

from trainer import peeps, workshop
from trainer.dataset import DataSet, DataSetError, prepare_peeps


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare_peeps(12, 16, tmp_path_factory.mktemp("data") / "a", seed=4, progress=False)


@pytest.fixture
def copy(prepared, tmp_path):
    return shutil.copytree(prepared.path, tmp_path / "copy")


def prepare(out, **changes):
    wanted = {"count": 12, "size": 16, "seed": 4, "workers": 1, "progress": False} | changes
    return prepare_peeps(wanted.pop("count"), wanted.pop("size"), out, wanted.pop("seed"), **wanted)


def test_a_prepared_data_set_holds_the_figures_of_its_seed(prepared):
    assert (len(prepared), prepared.resolution, prepared.size) == (12, 16, 16)
    assert prepared.images.shape == (12, 3, 16, 16)
    assert prepared.images.dtype == torch.uint8
    np.testing.assert_array_equal(prepared.images.numpy(), peeps.draw_range(4, 0, 12, 16))


def test_each_picture_has_one_row_of_attributes(prepared):
    rows = prepared.manifest
    assert [row.pop("picture") for row in rows] == list(range(12))
    assert rows == [peeps.peep(4, index).row() for index in range(12)]


def test_a_data_set_says_how_and_under_which_licence_it_was_made(prepared):
    info = json.loads((prepared.path / "dataset.json").read_text())
    assert info["made_by"] == peeps.recipe()
    assert (info["count"], info["size"], info["seed"]) == (12, 16, 4)
    assert "CC0" in info["licence"]
    assert info["sha256"] == prepared.sha256


def test_only_the_three_files_of_a_data_set_are_left_behind(prepared):
    names = sorted(path.name for path in prepared.path.iterdir())
    assert names == ["dataset.json", "images.npy", "manifest.jsonl"]
    assert list(prepared.path.parent.iterdir()) == [prepared.path]


def test_a_batch_maps_bytes_onto_minus_one_to_one(prepared):
    prepared_bytes = prepared.images[[3, 0, 3]].float()
    batch = prepared.batch(torch.tensor([3, 0, 3]))
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch, prepared_bytes / 127.5 - 1)
    assert prepared.batch([]).shape == (0, 3, 16, 16)


def test_changing_a_batch_never_changes_the_file(prepared):
    before = prepared.images.clone()
    prepared.batch([0]).zero_()
    assert torch.equal(DataSet(prepared.path).images, before)


def test_several_processes_make_the_same_bytes_as_one(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(workshop, "PART", 6)
    assert prepare(tmp_path / "b", workers=2).sha256 == prepared.sha256


def test_another_seed_makes_another_data_set(prepared, tmp_path):
    assert prepare(tmp_path / "b", seed=5).sha256 != prepared.sha256


def test_an_interrupted_preparation_goes_on_where_it_stopped(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(workshop, "PART", 5)
    drawn = []

    def draw_range(seed, start, stop, size, *, stops_at):
        if start == stops_at:
            raise KeyboardInterrupt
        drawn.append((start, stop))
        return np.stack([peeps.draw(peeps.peep(seed, i), size) for i in range(start, stop)])

    def stopping(at):
        return lambda *span: draw_range(*span, stops_at=at)

    monkeypatch.setattr(peeps, "draw_range", stopping(5))
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "b")
    with pytest.raises(DataSetError, match=r"no dataset\.json"):
        DataSet(tmp_path / "b")
    monkeypatch.setattr(peeps, "draw_range", stopping(None))
    assert prepare(tmp_path / "b").sha256 == prepared.sha256
    assert drawn == [(0, 5), (5, 10), (10, 12)]
    assert not (tmp_path / "b.partial").exists()


def test_preparing_a_finished_data_set_again_draws_nothing(prepared, monkeypatch):
    monkeypatch.setattr(peeps, "draw_range", None)
    assert prepare(prepared.path).sha256 == prepared.sha256


def test_an_unfinished_preparation_with_other_settings_is_not_mixed_in(tmp_path, monkeypatch):
    monkeypatch.setattr(peeps, "draw_range", None)
    with pytest.raises(TypeError):
        prepare(tmp_path / "b")
    with pytest.raises(DataSetError, match=r"b\.partial.*other settings.*Remove that folder"):
        prepare(tmp_path / "b", count=13)


def test_a_place_with_another_data_set_is_not_written_over(prepared):
    with pytest.raises(DataSetError, match=r"12 pictures of 16 px, seed 4.*another output"):
        prepare(prepared.path, seed=6)


def test_a_place_with_other_files_is_not_written_over(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(DataSetError, match=r"no dataset\.json"):
        prepare(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "keep me"


def test_an_empty_folder_is_a_good_place_for_a_data_set(prepared, tmp_path):
    (tmp_path / "empty").mkdir()
    assert prepare(tmp_path / "empty").sha256 == prepared.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "found count 0, expected 1 to 10000000. Give another --count."),
        ({"size": 8}, "found size 8, expected 16 to 1024. Give another --size."),
        ({"seed": -1}, "found seed -1, expected 0 to"),
    ],
    ids=["count", "size", "seed"],
)
def test_impossible_settings_are_refused_before_drawing(tmp_path, changes, message):
    with pytest.raises(DataSetError) as refusal:
        prepare(tmp_path / "b", **changes)
    assert message in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_data_set_says_how_to_make_one(tmp_path):
    with pytest.raises(DataSetError, match=r"no dataset\.json.*wanderer train prepare peeps"):
        DataSet(tmp_path)


def test_one_changed_pixel_is_found_by_the_hash(copy):
    content = bytearray((copy / "images.npy").read_bytes())
    content[-1] ^= 1
    (copy / "images.npy").write_bytes(content)
    with pytest.raises(DataSetError, match=r"SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}; .*damag"):
        DataSet(copy)
    assert len(DataSet(copy, verify=False)) == 12


def put_archive(path):
    np.savez(path.with_suffix(".npz"), np.zeros(3))
    path.with_suffix(".npz").replace(path)


def shorten(path):
    path.write_bytes(path.read_bytes()[:-40])


DAMAGES = {
    "cut pictures": (lambda d: shorten(d / "images.npy"), r"images\.npy: found no readable array"),
    "no pictures": (lambda d: (d / "images.npy").unlink(), r"images\.npy: found no readable array"),
    "other pictures": (
        lambda d: np.save(d / "images.npy", np.zeros((12, 3, 8, 8), np.uint8)),
        r"found uint8 \[12, 3, 8, 8\], expected uint8 \[12, 3, 16, 16\]",
    ),
    "floats": (
        lambda d: np.save(d / "images.npy", np.zeros((12, 3, 16, 16), np.float16)),
        r"found float16 .*expected uint8",
    ),
    "an archive": (
        lambda d: put_archive(d / "images.npy"),
        r"images\.npy: found an archive, expected one NumPy array",
    ),
    "a pickle": (
        lambda d: np.save(d / "images.npy", np.array([{}])),
        r"images\.npy: found no readable array",
    ),
    "no manifest": (lambda d: (d / "manifest.jsonl").unlink(), r"found no manifest\.jsonl"),
    "a row less": (
        lambda d: (d / "manifest.jsonl").write_text("{}\n" * 11),
        r"found 11 rows, expected 12",
    ),
    "torn description": (
        lambda d: shorten(d / "dataset.json"),
        r"dataset\.json: found text that is not JSON",
    ),
    "a list": (
        lambda d: (d / "dataset.json").write_text("[]"),
        r"found no JSON object, expected a JSON object",
    ),
    "no hash": (
        lambda d: (d / "dataset.json").write_text('{"format": 1, "count": 12, "size": 16}'),
        r"found sha256: None, expected sha256: str",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_data_set_is_refused_with_its_place(copy, damage):
    do, message = DAMAGES[damage]
    do(copy)
    with pytest.raises(DataSetError, match=message) as refusal:
        DataSet(copy)
    assert str(copy) in str(refusal.value)


def test_a_data_set_of_another_format_is_refused_by_number(copy):
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(info | {"format": 7}))
    with pytest.raises(DataSetError, match=r"found format 7, expected 1.*another version"):
        DataSet(copy)
