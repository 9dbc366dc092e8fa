import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from trainer import loss


def _drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


logits = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=8)


@given(logits)
def test_losses_are_the_logarithms_of_chances(values):
    l_N = torch.tensor(values)
    chance = torch.sigmoid(l_N.double())
    assert float(loss.fooled(l_N)) == pytest.approx(float(-chance.log().mean()), rel=1e-4, abs=1e-5)
    assert torch.equal(loss.on_reals(l_N), loss.fooled(l_N))
    assert torch.equal(loss.on_fakes(l_N), loss.fooled(-l_N))


def test_an_undecided_judge_costs_log_two():
    assert float(loss.on_fakes(torch.zeros(3))) == pytest.approx(math.log(2))


def test_r1_of_a_linear_judge_is_half_gamma_times_its_slope_squared():
    weights = _drawn(3, 4, 4, seed=1)
    reals = _drawn(5, 3, 4, 4).requires_grad_(True)
    value = loss.r1((reals * weights).sum(dim=(1, 2, 3)), reals, gamma=3.0)
    assert float(value) == pytest.approx(1.5 * float(weights.square().sum()), rel=1e-5)


def test_r1_can_be_descended_through_the_judge():
    scale = torch.tensor(2.0, requires_grad=True)
    reals = torch.ones(2, 1, 2, 2, requires_grad=True)
    torch.autograd.backward(loss.r1((scale * reals).sum(dim=(1, 2, 3)), reals, gamma=1.0))
    # (1/2) · 4 · scale² has the slope 4 · scale.
    assert float(scale.grad) == pytest.approx(8.0)


def test_pyramid_counts_a_shift_of_grey_once_at_every_size():
    black, grey = torch.zeros(2, 3, 64, 64), torch.full((2, 3, 64, 64), 0.5)
    assert float(loss.pyramid(grey, black)) == pytest.approx(0.5 * 4)
    assert float(loss.pyramid(grey[..., :16, :16], black[..., :16, :16])) == pytest.approx(0.5 * 2)


def test_pyramid_forgives_fine_noise_at_small_sizes():
    checks = torch.ones(1, 1, 64, 64)
    checks[..., ::2, ::2], checks[..., 1::2, 1::2] = -1.0, -1.0
    assert float(loss.pyramid(checks, torch.zeros_like(checks))) == pytest.approx(1.0)


def test_features_ignore_how_strong_an_answer_is():
    maps = [_drawn(2, 5, 4, 4), _drawn(2, 7, 2, 2)]
    assert float(loss.features(maps, [3 * m for m in maps])) == pytest.approx(0.0, abs=1e-6)


def test_opposite_features_are_four_apart():
    maps = [_drawn(2, 5, 4, 4)]
    assert float(loss.features(maps, [-maps[0]])) == pytest.approx(4.0, rel=1e-5)


def test_sliced_distance_of_a_set_to_itself_is_zero_in_any_order():
    codes = _drawn(10, 4)
    shuffled = codes[torch.randperm(10, generator=torch.Generator().manual_seed(0))]
    value = loss.sliced_wasserstein(codes, shuffled, _drawn(6, 4, seed=1))
    assert float(value) == pytest.approx(0.0, abs=1e-10)


def test_sliced_distance_along_one_axis_is_the_squared_shift():
    codes = _drawn(10, 4)
    moved = codes + torch.tensor([0.5, 9.0, 9.0, 9.0])
    first_axis = torch.tensor([[7.0, 0.0, 0.0, 0.0]])  # its length does not matter
    assert float(loss.sliced_wasserstein(codes, moved, first_axis)) == pytest.approx(0.25, rel=1e-4)


def test_descending_the_sliced_distance_spreads_collapsed_codes():
    codes = 0.1 + 0.01 * _drawn(64, 4)
    prior, directions = 2 * F.normalize(_drawn(64, 4, seed=1), dim=1), _drawn(32, 4, seed=2)
    before = float(loss.sliced_wasserstein(codes, prior, directions))
    for _ in range(20):
        codes.requires_grad_(True)
        distance = loss.sliced_wasserstein(codes, prior, directions)
        (slope,) = torch.autograd.grad(distance, codes)
        codes = (codes - 50 * slope).detach()
    assert float(loss.sliced_wasserstein(codes, prior, directions)) < before / 5
