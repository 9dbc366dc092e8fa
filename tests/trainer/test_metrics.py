import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.features import EXTRACTOR_SHA256
from trainer import metrics, peeps
from trainer.metrics import (
    FeatureCache,
    MetricsError,
    features,
    kid_lite0,
    measure,
    precision_recall,
)


class Drawn:
    """A data set of 96 figures that counts how often it is read."""

    def __init__(self, pictures):
        self.sha256 = "d" * 64
        self.pictures = pictures
        self.reads = 0

    def __len__(self):
        return len(self.pictures)

    def batch(self, indices):
        self.reads += 1
        return self.pictures[indices]


@pytest.fixture(scope="module")
def pictures():
    return torch.from_numpy(peeps.draw_range(6, 0, 96, 64)).float() / 127.5 - 1


@pytest.fixture(scope="module")
def real(pictures):
    return features([pictures[:48]])


@pytest.fixture(scope="module")
def fake(pictures):
    return features([pictures[48:]])


def cloud(count, *, at=0.0, spread=1.0, seed=0, width=32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * spread + at


def test_pictures_of_the_same_kind_are_at_distance_nought(real, fake):
    kid = kid_lite0(real, fake)
    assert abs(kid.mean) < 0.03
    assert (kid.n_real, kid.n_fake, kid.subset_size) == (48, 48, 24)


def test_collapse_blur_and_noise_each_raise_the_distance(pictures, real, fake):
    others = pictures[48:80]
    collapsed = fake[:4].repeat(12, 1)
    blurred = F.interpolate(F.avg_pool2d(others, 2), scale_factor=2, mode="bilinear")
    more_blurred = F.interpolate(F.avg_pool2d(others, 4), scale_factor=4, mode="bilinear")
    noise = torch.randn(others.shape, generator=torch.Generator().manual_seed(0))
    found = {
        "same": kid_lite0(real, fake).mean,
        "collapsed": kid_lite0(real, collapsed).mean,
        "blurred": kid_lite0(real, features([blurred])).mean,
        "more blurred": kid_lite0(real, features([more_blurred])).mean,
        "noisy": kid_lite0(real, features([others + 0.1 * noise])).mean,
    }
    assert found["collapsed"] > found["same"] + 0.05, found
    assert found["blurred"] > found["same"] + 0.15, found
    assert found["more blurred"] > found["blurred"] + 0.5, found
    assert found["noisy"] > found["same"] + 0.2, found


def test_a_distance_below_nought_is_reported_as_it_is():
    values = [
        kid_lite0(cloud(60, seed=s), cloud(60, seed=s + 50), subsets=8).mean for s in range(12)
    ]
    assert min(values) < 0 < max(values)


def test_the_distance_is_an_unbiased_cubic_kernel_mean():
    # Bińkowski 2018, eq. 4 with k(x, y) = (x·y/d + 1)³, written out for one pair of subsets.
    real, fake = cloud(32, seed=1, width=8), cloud(32, seed=2, width=8, at=0.5)
    kid = kid_lite0(real, fake, subsets=1, seed=3)
    generator = np.random.default_rng(3)
    x = real[generator.permutation(32)[:16]].double().numpy()
    y = fake[generator.permutation(32)[:16]].double().numpy()

    def kernel(a, b):
        return (a @ b.T / 8 + 1) ** 3

    off_diagonal = ~np.eye(16, dtype=bool)
    within = kernel(x, x)[off_diagonal].mean() + kernel(y, y)[off_diagonal].mean()
    assert kid.mean == pytest.approx(within - 2 * kernel(x, y).mean(), rel=1e-9)


def test_measuring_twice_gives_the_same_and_leaves_torchs_dice_alone(real, fake):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = measure(real, fake)
    again = measure(real, fake)
    assert first == again
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_row_says_how_many_pictures_and_which_extractor(real):
    row = measure(real, real[:40])
    assert row["kid_lite0_n_real"] == 48
    assert row["kid_lite0_n_fake"] == 40
    assert row["kid_lite0_extractor"] == EXTRACTOR_SHA256[:12]
    assert row["kid_lite0_preprocessing"] == "bilinear-128"
    assert row["kid_lite0_std"] >= 0
    assert not any(name.startswith("fid") for name in row)


def test_precision_falls_for_wrong_ones_and_recall_for_missing_ones():
    real = cloud(400)
    same = precision_recall(real, cloud(400, seed=1))
    assert min(same) > 0.6
    narrow = precision_recall(real, cloud(400, seed=1, spread=0.2))
    assert narrow[0] > 0.95
    assert narrow[1] < 0.05
    elsewhere = precision_recall(real, cloud(400, seed=1, at=20.0))
    assert elsewhere == (0.0, 0.0)


def test_precision_and_recall_take_as_many_real_as_made_ones():
    real = cloud(300)
    assert precision_recall(real, real[:100]) == (1.0, 1.0)


def test_pictures_are_compared_as_the_bytes_they_would_be_shown_as(pictures, real):
    wild = pictures[:8] + torch.where(pictures[:8].abs() == 1, pictures[:8], 0.0)  # clips to 1
    torch.testing.assert_close(features([wild]), real[:8], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        features([pictures[:8] + 0.3 / 127.5]), real[:8], atol=1e-4, rtol=1e-4
    )


def test_features_keep_the_order_of_pictures_for_any_batching(pictures, real):
    small = features(pictures[i : i + 10] for i in range(0, 40, 10))
    torch.testing.assert_close(small, real[:40], atol=1e-4, rtol=1e-4)


def test_real_features_are_computed_once_and_then_read(tmp_path, pictures):
    data, cache = Drawn(pictures), FeatureCache(tmp_path / "features")
    first = cache.real(data, count=20)
    reads = data.reads
    assert first.shape == (20, 1280)
    assert torch.equal(cache.real(data, count=20), first)
    assert data.reads == reads
    assert [path.name for path in cache.folder.iterdir()] == [
        f"{'d' * 16}-{EXTRACTOR_SHA256[:16]}-bilinear-128-n20-s0.safetensors"
    ]


def test_a_damaged_cache_file_is_computed_again(tmp_path, pictures):
    data, cache = Drawn(pictures), FeatureCache(tmp_path)
    first = cache.real(data, count=17)
    cache.path(data, 17, 0).write_bytes(b"torn")
    assert torch.equal(cache.real(data, count=17), first)


def test_another_data_set_extractor_or_choice_has_another_cache_file(
    tmp_path, monkeypatch, pictures
):
    data, cache = Drawn(pictures), FeatureCache(tmp_path)
    paths = {cache.path(data, 20, 0), cache.path(data, 21, 0), cache.path(data, 20, 1)}
    data.sha256 = "e" * 64
    paths.add(cache.path(data, 20, 0))
    monkeypatch.setattr(metrics, "EXTRACTOR_SHA256", "f" * 64)
    paths.add(cache.path(data, 20, 0))
    monkeypatch.setattr(metrics, "PREPROCESSING", "area-96")
    paths.add(cache.path(data, 20, 0))
    assert len(paths) == 6


def test_too_few_pictures_are_refused_with_the_number_needed():
    with pytest.raises(MetricsError, match=r"made features of shape \[3, 32\], expected at least"):
        kid_lite0(cloud(40), cloud(3))
    with pytest.raises(MetricsError, match="found no pictures"):
        features([])


def test_pictures_that_are_not_numbers_are_refused(real):
    broken = real.clone()
    broken[3, 7] = torch.nan
    with pytest.raises(MetricsError, match=r"made features that are not finite.*earlier snapshot"):
        kid_lite0(real, broken)
