import json

import numpy as np
import pytest
from PIL import Image

from trainer import report
from trainer.dataset import prepare_peeps
from trainer.report import ReportError, draw_curve, quality_metric, read_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_peeps(20, 16, tmp_path_factory.mktemp("data") / "a", seed=2, progress=False)


def measured(kimg, value=0.5, **others):
    return {
        "kimg": kimg,
        "kid_lite0": value,
        "kid_lite0_std": 0.01,
        "kid_lite0_n_real": 4000,
        "kid_lite0_n_fake": 1000,
        "kid_lite0_extractor": "abc",
        "kid_lite0_preprocessing": "bilinear-128",
    } | others


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    return path


def test_rows_are_read_in_order_without_a_torn_last_line(tmp_path):
    path = written(tmp_path, lines(measured(1), {"kimg": 2, "d_fakes": 1.0}) + '{"kimg": 3, "d_')
    assert [row["kimg"] for row in read_rows(path)] == [1, 2]


def test_rows_that_a_resumed_run_overtook_are_left_out(tmp_path):
    rows = [{"kimg": k, "go": go} for go, k in ((1, 1), (1, 2), (1, 3), (2, 2), (2, 2.5))]
    found = read_rows(written(tmp_path, lines(*rows)))
    assert [(row["go"], row["kimg"]) for row in found] == [(1, 1), (2, 2), (2, 2.5)]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"kid_lite0": 1}', '{"kimg": "12"}'])
def test_a_line_that_is_no_row_is_named_by_number(tmp_path, line):
    path = written(tmp_path, lines(measured(1)) + line + "\n")
    with pytest.raises(ReportError, match=r"metrics\.jsonl, line 2: found .*number kimg"):
        read_rows(path)


def test_a_run_without_metrics_says_what_was_expected(tmp_path):
    with pytest.raises(ReportError, match="no such file, expected the metrics of a run"):
        read_rows(tmp_path / "metrics.jsonl")


def test_two_metrics_are_never_put_on_one_axis():
    rows = [measured(1), {"kimg": 2, "fid": 30.0}]
    with pytest.raises(ReportError, match="found fid and kid_lite0 in one run, expected one"):
        draw_curve(rows, "mixed")


@pytest.mark.parametrize("column", ["kid_lite0_extractor", "kid_lite0_preprocessing"])
def test_one_name_in_two_meanings_is_refused_as_two_metrics(column):
    rows = [measured(1), measured(2, **{column: "changed"})]
    with pytest.raises(ReportError, match=r"kid_lite0 of .*changed.*, expected one extractor"):
        draw_curve(rows, "mixed")


def test_the_quality_metric_is_told_from_its_own_columns():
    assert quality_metric([measured(1), {"kimg": 2, "d_fakes": 0.5}]) == "kid_lite0"
    assert quality_metric([{"kimg": 2, "d_fakes": 0.5}]) is None


def test_rows_without_anything_to_draw_say_so():
    with pytest.raises(ReportError, match="found no quality metric and no loss"):
        draw_curve([{"kimg": 1}], "empty")


def test_each_kind_of_number_gets_a_panel_of_its_own():
    losses = [{"kimg": k, "d_fakes": 0.5, "reconstruction": 0.2} for k in range(5)]
    one = draw_curve(losses, "losses only")
    shares = {"precision_lite0": 0.4, "recall_lite0": 0.2}
    three = draw_curve([*losses, measured(6, **shares), measured(7, -0.01, **shares)], "all")
    assert one.width == three.width
    assert three.height > 2 * one.height


def test_a_curve_is_drawn_the_same_twice_and_shows_its_values(tmp_path):
    path = written(tmp_path, lines(*[measured(k, 1 / k) for k in range(1, 9)]))
    for name in ("one.png", "two.png"):
        report.write_curve(path, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    line = np.array([int(report._HUES[0][i : i + 2], 16) for i in (1, 3, 5)])
    assert (np.abs(pixels.astype(int) - line).max(1) < 8).sum() > 300


def test_attribute_counts_add_up_to_the_pictures(data):
    counts = report.attribute_counts(data)
    assert list(counts) == [name for name in data.manifest[0] if name != "picture"]
    assert all(sum(values.values()) == len(data) for values in counts.values())
    skins = [row["skin"] for row in data.manifest]
    assert counts["skin"]["umber"] == skins.count("umber")
    bare = [row for row in data.manifest if row["facial_hair"] is None]
    assert counts["facial_hair"]["none"] == len(bare)


def test_the_data_report_names_the_data_set_and_everyone_in_it(data, tmp_path):
    report.write_data_report(data, tmp_path / "report")
    text = (tmp_path / "report" / "data.md").read_text()
    assert data.sha256 in text
    assert "CC0" in text
    for name, values in report.attribute_counts(data).items():
        assert f"## {name.replace('_', ' ')}" in text
        for value, count in values.items():
            assert f"| {value} | {count} | {100 * count / 20:.1f} % |" in text
    summary = json.loads((tmp_path / "report" / "data.json").read_text())
    assert summary["attributes"] == report.attribute_counts(data)
    assert summary["data_set"]["sha256"] == data.sha256


def test_the_contact_sheet_shows_every_picture_of_a_small_set_once(data):
    sheet = np.asarray(report.data_sheet(data, columns=5, rows=4))
    first = data.images[0].numpy().transpose(1, 2, 0)
    np.testing.assert_array_equal(sheet[2:18, 2:18], first)
    assert sheet.shape == (4 * 18 + 2, 5 * 18 + 2, 3)
