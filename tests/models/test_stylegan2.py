import pytest
import torch

from models.stylegan2 import Generator
from tests.models.golden_weights import GOLDEN, assert_matches, fill, hashed_tensor


def golden_generator():
    return fill(Generator(**GOLDEN["SG2"]["kwargs"])).eval()


def golden_inputs():
    return hashed_tensor((2, 8), 7), torch.eye(3)[:2]


def test_state_dict_has_the_published_names_and_shapes():
    state = golden_generator().state_dict()
    shapes = {key: list(value.shape) for key, value in state.items()}
    assert shapes == GOLDEN["SG2"]["state_shapes"]
    assert list(state) == list(GOLDEN["SG2"]["state_shapes"])


@pytest.mark.parametrize("noise", ["const", "none"])
def test_golden_pictures_are_met_with_and_without_noise(noise):
    generator, (z, c) = golden_generator(), golden_inputs()
    with torch.no_grad():
        assert_matches(generator(z, c, noise=noise), GOLDEN["SG2"][f"img_{noise}"])


def test_noise_is_constant_unless_asked_for():
    generator, (z, c) = golden_generator(), golden_inputs()
    with torch.no_grad():
        assert torch.equal(generator(z, c), generator(z, c))
        assert not torch.equal(generator(z, c, noise="random"), generator(z, c, noise="random"))


def test_picture_is_independent_of_its_batch():
    generator, (z, c) = golden_generator(), golden_inputs()
    with torch.no_grad():
        together = generator(z, c)
        alone = torch.cat([generator(z[n : n + 1], c[n : n + 1]) for n in range(2)])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=0)


def test_published_size_has_the_published_count_of_parameters():
    with torch.device("meta"):
        generator = Generator(512, 0, 512, 1024, 3)
    assert generator.num_ws == 18
    assert sum(parameter.numel() for parameter in generator.parameters()) == 30_370_060


def test_half_precision_blocks_are_the_highest_resolutions():
    with torch.device("meta"):
        synthesis = Generator(64, 0, 64, 256, 3, num_fp16_res=4).synthesis
    assert [r for r in synthesis.block_resolutions if getattr(synthesis, f"b{r}").use_fp16] == [
        32,
        64,
        128,
        256,
    ]


def test_wrong_latents_are_refused_with_both_shapes():
    generator = golden_generator()
    with pytest.raises(ValueError, match=r"ws has shape \[1, 7, 8\]; expected \[N, 8, 8\]"):
        generator.synthesis(torch.zeros(1, 7, 8))
    with pytest.raises(ValueError, match=r"z has shape \[1, 9\]; expected \[N, 8\]"):
        generator(torch.zeros(1, 9), torch.eye(3)[:1])
    with pytest.raises(ValueError, match=r"conditional and expects \[N, 3\]"):
        generator(torch.zeros(1, 8))
