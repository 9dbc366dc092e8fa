import pytest
import torch

from models.discriminator import Discriminator
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
