import itertools

import numpy as np
import pytest

from models.testcard import BAR_TOP, LATENTS, TestCard


def seed(number):
    return np.random.RandomState(number).randn(1, LATENTS)


def picture(z, resolution=64, psi=1.0):
    model = TestCard(resolution)
    return model.synthesize(model.map(z, psi=psi))[0]


def test_a_changed_latent_value_moves_its_own_bar():
    base = TestCard().map(seed(1))
    for index in range(LATENTS):
        changed = base.copy()
        changed[0, 0, index] += 1.5
        model = TestCard()
        difference = np.abs(model.synthesize(changed) - model.synthesize(base))[0].max(axis=0)
        band = difference[int(64 * BAR_TOP) + 2 :]
        columns = np.flatnonzero(band.max(axis=0) > 0.5)
        assert set(columns // (64 // LATENTS)) == {index}


def test_near_latents_look_near_and_far_ones_differ():
    a, b = seed(1), seed(2)
    steps = [picture(a + t * (b - a)) for t in np.linspace(0, 1, 200)]
    jumps = [np.abs(x - y).mean() for x, y in itertools.pairwise(steps)]
    assert max(jumps) < 0.02
    assert min(jumps) > 0.0002
    assert np.abs(steps[0] - steps[-1]).mean() > 0.1


def test_top_left_is_marked_unlike_every_other_corner():
    image = picture(seed(3))
    corner = image[:, 4:8, 4:8].mean()
    for turned in (image[:, ::-1], image[:, :, ::-1], image[:, ::-1, ::-1]):
        assert abs(turned[:, 4:8, 4:8].mean() - corner) > 0.3
    assert image[:, 3, 3].min() > 0.9


def test_pointer_follows_the_first_two_values():
    z = np.zeros((1, LATENTS))
    z[0, 1] = 1  # straight up: above the ring's centre
    image = picture(z).mean(axis=0)
    assert image[int(64 * 0.16), 32] > 0.8


@pytest.mark.parametrize("resolution", [16, 64, 256])
def test_any_resolution_shows_the_same_picture(resolution):
    small = picture(seed(4), 16)
    large = picture(seed(4), resolution)
    shrunk = large.reshape(3, 16, resolution // 16, 16, resolution // 16).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 0.12


def test_psi_of_zero_is_the_same_for_all_seeds():
    assert np.array_equal(picture(seed(1), psi=0.0), picture(seed(2), psi=0.0))
    assert not np.array_equal(picture(seed(1), psi=0.5), picture(seed(2), psi=0.5))
