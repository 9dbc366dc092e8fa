import pytest
import torch
from torch import nn

from tests.trainer import tiny
from trainer.networks import average_decay, build, move_average


def test_equal_settings_build_equal_networks():
    first, second = build(tiny.settings(seed=4)), build(tiny.settings(seed=4))
    other = build(tiny.settings(seed=5))
    for name in ("generator", "average", "discriminator", "encoder"):
        pairs = zip(
            getattr(first, name).state_dict().values(),
            getattr(second, name).state_dict().values(),
            strict=True,
        )
        assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.encoder.head.weight, other.encoder.head.weight)


def test_building_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    build(tiny.settings())
    assert torch.equal(before, torch.get_rng_state())


def test_average_moves_parameters_and_copies_buffers():
    slow, fast = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    fast.weight.data.fill_(3.0)
    fast.running_mean.fill_(8.0)
    move_average(slow, fast, beta=0.75)
    assert float(slow.weight.detach()) == pytest.approx(0.75 * 1.0 + 0.25 * 3.0)
    assert float(slow.running_mean) == 8.0


def test_average_follows_closely_at_first_then_reaches_its_half_life():
    # The recipe: 0.5^(batch/n), n = min(half-life, 0.05 · images).
    assert average_decay(16, 5000, 3200, 0.05) == pytest.approx(0.5 ** (16 / 160))
    assert average_decay(16, 5000, 10**6, 0.05) == pytest.approx(0.5 ** (16 / 5000))
    assert average_decay(16, 5000, 0, 0.05) == 0.0
