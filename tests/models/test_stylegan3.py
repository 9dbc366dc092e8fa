import copy
import math

import pytest
import torch

from models.stylegan3 import Generator
from tests.models.golden_weights import GOLDEN, assert_matches, fill, hashed_tensor

CASES = ["T6", "R6", "T14", "R14"]
NAMED_CASES = ["T6", "R6"]  # the golden file lists keys for these only
PATHS = ["banded", "depthwise", "textbook"]


def golden_generator(case, path="auto"):
    generator = fill(Generator(**GOLDEN[case]["kwargs"])).eval()
    generator.synthesis.path = path
    return generator


def golden_inputs():
    return hashed_tensor((2, 8), 7), torch.eye(3)[:2]


@pytest.mark.parametrize("case", NAMED_CASES)
def test_state_dict_has_the_published_names_and_shapes(case):
    state = Generator(**GOLDEN[case]["kwargs"]).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == GOLDEN[case]["state_shapes"]
    assert list(state) == list(GOLDEN[case]["state_shapes"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_golden_pictures_are_met_by_both_paths(case, path):
    generator, (z, c) = golden_generator(case, path), golden_inputs()
    record = GOLDEN[case]
    with torch.no_grad():
        assert_matches(generator.mapping(z, c), record["ws"])
        assert_matches(generator.mapping(z, c, 0.7, 3), record["ws_psi0.7_cut3"])
        assert_matches(generator.synthesis.input(generator.mapping(z, c)[:, 0]), record["input"])
        assert_matches(generator(z, c), record["img"])
        assert_matches(generator(z, c, 0.7, 3), record["img_trunc"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_golden_layers_have_the_recorded_statistics(case, path):
    generator, (z, c) = golden_generator(case, path), golden_inputs()
    with torch.no_grad():
        ws = generator.mapping(z, c)
        x = generator.synthesis.input(ws[:, 0])
        for index, (name, record) in enumerate(GOLDEN[case]["layers"].items()):
            x = getattr(generator.synthesis, name)(x, ws[:, index + 1], path)
            assert x.mean().item() == pytest.approx(record["mean"], abs=1e-5)
            assert x.std(correction=0).item() == pytest.approx(record["std"], abs=1e-5)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_golden_transform_turns_and_shifts_the_picture(case, path):
    generator, (z, c) = golden_generator(case, path), golden_inputs()
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    wanted = torch.tensor([[cos, sin, 0.1], [-sin, cos, -0.2], [0, 0, 1]], dtype=torch.float64)
    generator.synthesis.input.transform.copy_(torch.linalg.inv(wanted))
    with torch.no_grad():
        assert_matches(generator(z, c), GOLDEN[case]["img_rot30_tx0.1_ty-0.2"])


@pytest.mark.parametrize("case", CASES)
def test_golden_running_means_after_one_update(case):
    generator, (z, c) = golden_generator(case).train(), golden_inputs()
    with torch.no_grad():
        generator(z, c, update_emas=True)
    record = GOLDEN[case]["after_update_emas"]
    torch.testing.assert_close(
        generator.mapping.w_avg, torch.tensor(record["w_avg"]), atol=1e-5, rtol=0
    )
    layers = [getattr(generator.synthesis, name) for name in generator.synthesis.layer_names]
    found = torch.stack([layer.magnitude_ema for layer in layers])
    torch.testing.assert_close(found, torch.tensor(record["magnitude_ema"]), atol=1e-5, rtol=0)


def test_running_means_rest_unless_asked_to_move():
    generator, (z, c) = golden_generator("T6").train(), golden_inputs()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    generator(z, c).sum().backward()
    assert all(torch.equal(before[key], value) for key, value in generator.state_dict().items())


@pytest.mark.parametrize("path", PATHS)
def test_picture_is_independent_of_its_batch(path):
    generator = golden_generator("T6", path)
    z, c = hashed_tensor((5, 8), 3, 2.0), torch.eye(3)[[0, 1, 2, 0, 1]]
    with torch.no_grad():
        together = generator(z, c)
        alone = torch.cat([generator(z[n : n + 1], c[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone, atol=2e-6, rtol=0)


@pytest.mark.parametrize("case", ["T6", "R6"])
@pytest.mark.parametrize("path", ["banded", "depthwise"])
def test_gradients_of_the_fast_paths_are_the_textbooks(case, path):
    z, c = golden_inputs()
    pull = hashed_tensor((2, 3, 32, 32), 13)
    grads = {}
    for name in (path, "textbook"):
        generator = golden_generator(case, name)
        generator(z, c).mul(pull).sum().backward()
        grads[name] = {key: value.grad for key, value in generator.named_parameters()}
    for key, expected in grads["textbook"].items():
        scale = expected.abs().max().clamp_min(1.0).item()
        torch.testing.assert_close(grads[path][key], expected, atol=1e-5 * scale, rtol=0)


def test_published_sizes_have_the_published_counts_of_parameters():
    turning = {
        "channel_max": 1024,
        "conv_kernel": 1,
        "use_radial_filters": True,
    }
    for arguments, parameters, elements in [
        ({"img_resolution": 1024}, 22_313_167, 2_480),
        ({"img_resolution": 256, "channel_base": 16384}, 23_320_443, 2_456),
        ({"img_resolution": 1024, "channel_base": 65536, **turning}, 15_093_151, 5_600),
        ({"img_resolution": 256, "channel_base": 32768, **turning}, 15_779_565, 5_576),
    ]:
        with torch.device("meta"):
            network = Generator(512, 0, 512, img_channels=3, **arguments)
        assert sum(parameter.numel() for parameter in network.parameters()) == parameters
        assert sum(buffer.numel() for buffer in network.buffers()) == elements


def test_network_can_be_rebuilt_from_its_arguments():
    generator = golden_generator("R6", "textbook")
    twin = Generator(**generator.init_kwargs)
    twin.load_state_dict(generator.state_dict(), strict=True)
    z, c = golden_inputs()
    with torch.no_grad():
        torch.testing.assert_close(twin(z, c), generator(z, c), atol=1e-5, rtol=0)


def test_copied_generator_follows_its_own_filters():
    generator = golden_generator("T6")
    z, c = golden_inputs()
    with torch.no_grad():
        before = generator(z, c)
        twin = copy.deepcopy(generator)
        state = twin.state_dict()
        halved = {key: value / 2 for key, value in state.items() if key.endswith("down_filter")}
        twin.load_state_dict(state | halved)
        changed = twin(z, c)
        twin.synthesis.path = "textbook"
        torch.testing.assert_close(changed, twin(z, c), atol=1e-5, rtol=0)
        assert torch.equal(generator(z, c), before)


def test_wrong_latents_are_refused_with_both_shapes():
    generator = golden_generator("T6")
    with pytest.raises(ValueError, match=r"ws has shape \[1, 7, 8\]; expected \[N, 8, 8\]"):
        generator.synthesis(torch.zeros(1, 7, 8))


def test_transform_turns_by_quarters_exactly_in_the_middle_of_the_input():
    generator = golden_generator("T6")
    features = generator.synthesis.input
    with torch.no_grad():
        features.affine.weight.zero_()
        features.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
        straight = features(torch.zeros(1, 8))
        features.transform.copy_(torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
        turned = features(torch.zeros(1, 8))
    torch.testing.assert_close(turned, straight.rot90(1, (2, 3)), atol=1e-5, rtol=0)
