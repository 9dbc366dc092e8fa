import pytest
import torch

from models.discriminator import Discriminator, minibatch_stddev
from tests.models.golden_weights import GOLDEN, fill, hashed_tensor


def golden_discriminator(case, **more):
    kwargs = dict(GOLDEN[case]["kwargs"])
    group = kwargs.pop("mbstd_group_size")
    return fill(Discriminator(**kwargs, epilogue_kwargs={"mbstd_group_size": group}, **more))


@pytest.mark.parametrize("case", ["D_c0", "D_c3"])
def test_golden_logits_are_met(case):
    network = golden_discriminator(case)
    state = network.state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == GOLDEN[case]["state_shapes"]
    assert list(state) == list(GOLDEN[case]["state_shapes"])
    pictures = hashed_tensor((4, 3, 32, 32), 11, 0.5)
    c = torch.eye(3)[[0, 1, 2, 0]] if network.c_dim else None
    logits = network(pictures, c)
    assert list(logits.shape) == [4, 1]
    expected = torch.tensor(GOLDEN[case]["logits"])[:, None]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def small(**more):
    torch.manual_seed(0)
    return Discriminator(0, 32, 3, channel_base=256, channel_max=16, **more)


def test_published_sizes_have_the_published_counts_of_parameters():
    for arguments, count in [
        ((0, 1024, 3), 29_012_513),
        ((10, 1024, 3), 31_381_536),
        ((0, 256, 3), 28_864_129),
        ((0, 256, 3, "resnet", 16384), 24_001_089),
    ]:
        with torch.device("meta"):
            network = Discriminator(*arguments)
        assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("frozen", [0, 1, 4, 6, 10, 13])
def test_frozen_layers_are_buffers_under_the_same_names(frozen):
    network = small(block_kwargs={"freeze_layers": frozen})
    assert network.state_dict().keys() == small().state_dict().keys()
    order = [
        layer
        for res in (32, 16, 8)
        for layer in (f"b{res}.fromrgb", f"b{res}.conv0", f"b{res}.conv1", f"b{res}.skip")
        if layer not in ("b16.fromrgb", "b8.fromrgb")
    ]
    learning = {name.rpartition(".")[0] for name, _ in network.named_parameters()}
    assert [layer for layer in order if layer not in learning] == order[:frozen]
    assert {"b4.conv", "b4.fc", "b4.out"} <= learning


def test_frozen_layers_take_weights_and_get_no_gradient():
    network = small(block_kwargs={"freeze_layers": 4})
    network.load_state_dict(small().state_dict(), strict=True)
    pictures = hashed_tensor((4, 3, 32, 32), 11, 0.5)
    torch.testing.assert_close(network(pictures), small()(pictures))
    network(pictures).sum().backward()
    assert network.b32.conv0.weight.grad is None
    assert network.b16.conv0.weight.grad.abs().sum() > 0


def test_penalty_on_gradients_can_be_differentiated():
    network = small().double()
    pictures = hashed_tensor((4, 3, 32, 32), 11, 0.5).double().requires_grad_()

    def penalty():
        (slope,) = torch.autograd.grad(network(pictures).sum(), pictures, create_graph=True)
        return slope.square().sum()

    penalty().backward()
    weight = network.b32.conv1.weight
    found = weight.grad[3, 2, 1, 1].item()
    step = 1e-6
    with torch.no_grad():
        weight[3, 2, 1, 1] += step
    above = penalty().item()
    with torch.no_grad():
        weight[3, 2, 1, 1] -= 2 * step
    assert found == pytest.approx((above - penalty().item()) / (2 * step), rel=1e-3)


def test_groups_of_the_deviation_are_strided_over_the_batch():
    x = torch.zeros(4, 2, 4, 4)
    x[2] = 1.0  # samples 0 and 2 are one group, 1 and 3 the other
    y = minibatch_stddev(x, group_size=2)
    assert list(y.shape) == [4, 3, 4, 4]
    torch.testing.assert_close(y[:, 2, 0, 0], torch.tensor([0.5, 1e-4, 0.5, 1e-4]))
    whole = minibatch_stddev(x, group_size=None)[:, 2, 0, 0]
    torch.testing.assert_close(whole, torch.full((4,), 0.1875**0.5))


def test_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch of 6 is not divisible by the stddev group size 4"):
        minibatch_stddev(torch.zeros(6, 2, 4, 4), group_size=4)


def test_unbuilt_architectures_and_sizes_are_refused():
    with pytest.raises(ValueError, match="architecture is 'skip'; only 'resnet' is built here"):
        Discriminator(0, 32, 3, architecture="skip")
    with pytest.raises(ValueError, match="img_resolution is 48; expected a power of two"):
        Discriminator(0, 48, 3)
    with pytest.raises(ValueError, match=r"c has shape None; this model is conditional"):
        golden_discriminator("D_c3")(torch.zeros(2, 3, 32, 32))


def test_network_can_be_rebuilt_from_its_arguments():
    network = golden_discriminator("D_c3")
    twin = Discriminator(**network.init_kwargs)
    twin.load_state_dict(network.state_dict(), strict=True)
    pictures, c = hashed_tensor((2, 3, 32, 32), 11), torch.eye(3)[:2]
    torch.testing.assert_close(twin(pictures, c), network(pictures, c))
