import math

import pytest
import torch

from models.equalised import FullyConnected, MappingNetwork, normalise_second_moment
from tests.models.golden_weights import hashed_tensor


def test_layer_scales_weight_and_bias_by_its_rate():
    layer = FullyConnected(16, 3, lr_multiplier=0.01, bias_init=2.0)
    x = hashed_tensor((4, 16), 1)
    expected = x @ (layer.weight * 0.01 / 4).t() + 2.0
    torch.testing.assert_close(layer(x), expected)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.5)
    torch.testing.assert_close(layer.bias, torch.full((3,), 200.0))


def test_rectified_layer_keeps_the_mean_square():
    layer = FullyConnected(16, 3, activation="lrelu", bias=False)
    x = hashed_tensor((4, 16), 1)
    y = x @ (layer.weight / 4).t()
    torch.testing.assert_close(layer(x), torch.where(y < 0, 0.2 * y, y) * math.sqrt(2))


def test_unknown_activation_is_refused_with_the_known():
    with pytest.raises(ValueError, match="activation is 'relu'; use 'linear' or 'lrelu'"):
        FullyConnected(1, 1, activation="relu")


def test_second_moment_is_one_whatever_the_scale():
    x = normalise_second_moment(hashed_tensor((3, 8), 1) * torch.tensor([[1e-2], [1.0], [1e5]]))
    torch.testing.assert_close(x.square().mean(dim=1), torch.ones(3), atol=1e-3, rtol=0)


def test_full_truncation_gives_everybody_the_mean():
    network = MappingNetwork(8, 0, 6, num_ws=4)
    network.w_avg.copy_(hashed_tensor((6,), 2))
    ws = network(hashed_tensor((3, 8), 1), truncation_psi=0.0)
    torch.testing.assert_close(ws, network.w_avg.expand(3, 4, 6))


def test_cutoff_leaves_later_rows_alone():
    network = MappingNetwork(8, 0, 6, num_ws=4)
    z = hashed_tensor((3, 8), 1)
    free, pulled = network(z), network(z, truncation_psi=0.5, truncation_cutoff=1)
    assert torch.equal(free[:, 1:], pulled[:, 1:])
    torch.testing.assert_close(pulled[:, 0], free[:, 0] * 0.5)


def test_mean_moves_by_the_batch_only_when_asked():
    network = MappingNetwork(8, 0, 6, num_ws=4, w_avg_beta=0.75)
    z = hashed_tensor((3, 8), 1)
    ws = network(z)
    assert not network.w_avg.any()
    network(z, update_emas=True)
    torch.testing.assert_close(network.w_avg, ws[:, 0].mean(dim=0).detach() * 0.25)


def test_latents_may_come_in_double_precision():
    network = MappingNetwork(8, 0, 6, num_ws=4)
    z = hashed_tensor((3, 8), 1)
    assert torch.equal(network(z.double()), network(z))
