import numpy as np
import pytest
import torch

from models import stylegan2, stylegan3
from models.card import Card
from models.precision import PixelDifference, pixel_difference
from models.torch_model import TorchModel, precision_difference
from tests.models.golden_weights import GOLDEN, assert_matches, fill, hashed_tensor

KINDS = {"T6": "stylegan3-t", "R6": "stylegan3-r", "T14": "stylegan3-t", "SG2": "stylegan2"}


def generator(case, **more):
    module = stylegan2 if case == "SG2" else stylegan3
    return fill(module.Generator(**GOLDEN[case]["kwargs"], **more))


def model(case, **options):
    network = generator(case)
    card = Card(
        name=case,
        kind=KINDS[case],
        resolution=network.img_resolution,
        z_dim=8,
        c_dim=3,
        w_dim=8,
        num_ws=network.num_ws,
        sha256="0" * 64,
    )
    return TorchModel(network, card, **{"precision": "float32", **options})


def inputs():
    return hashed_tensor((2, 8), 7), torch.eye(3)[:2]


@pytest.mark.parametrize("case", KINDS)
def test_folded_model_meets_the_golden_pictures(case):
    shown, (z, c) = model(case), inputs()
    pictures = shown.synthesize(shown.map(z, c))
    assert pictures.dtype == torch.float32
    assert_matches(pictures, GOLDEN[case]["img_const" if case == "SG2" else "img"])


@pytest.mark.parametrize("case", ["T6", "R6"])
def test_truncation_is_the_generators_own(case):
    shown, (z, c) = model(case), inputs()
    assert_matches(shown.synthesize(shown.map(z, c, 0.7, 3)), GOLDEN[case]["img_trunc"])


@pytest.mark.parametrize("case", KINDS)
def test_picture_is_independent_of_its_batch(case):
    shown, (z, c) = model(case), inputs()
    together = shown.synthesize(shown.map(z, c))
    alone = torch.cat([shown.synthesize(shown.map(z[n : n + 1], c[n : n + 1])) for n in range(2)])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=0)


@pytest.mark.parametrize("case", ["T6", "SG2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_last_operation_writes_into_memory_of_the_caller(case, dtype):
    shown, (z, c) = model(case), inputs()
    ws = shown.map(z, c)
    memory = np.zeros((2, 3, 32, 40), np.float16 if dtype == torch.float16 else np.float32)
    out = torch.from_numpy(memory)[:, :, :, 4:36]  # rows with a pitch, as GL may give
    assert shown.synthesize(ws, out=out) is out
    expected = shown.synthesize(ws).to(dtype)
    assert np.array_equal(memory[:, :, :, 4:36], expected.numpy())
    assert not memory[:, :, :, :4].any() and not memory[:, :, :, 36:].any()


def test_numpy_and_torch_latents_give_the_same_picture():
    shown, (z, c) = model("T6"), inputs()
    ws = shown.map(z.double().numpy(), c.numpy())
    assert torch.equal(ws, shown.map(z, c))
    assert torch.equal(shown.synthesize(ws.numpy()), shown.synthesize(ws))


def test_model_says_what_it_is():
    shown = model("T6")
    assert (shown.z_dim, shown.c_dim, shown.w_dim, shown.num_ws, shown.resolution) == (
        8,
        3,
        8,
        8,
        32,
    )
    assert (shown.array, shown.device, shown.precision) == ("torch", "cpu", "float32")


def test_same_latents_give_the_same_bytes_twice():
    shown, (z, c) = model("T6"), inputs()
    ws = shown.map(z, c)
    assert torch.equal(shown.synthesize(ws), shown.synthesize(ws))


def test_wrong_memory_and_latents_are_refused_by_shape():
    shown, (z, c) = model("T6"), inputs()
    ws = shown.map(z, c)
    with pytest.raises(ValueError, match=r"out is torch.float32 \[1, 3, 32, 32\]; expected .*\[2,"):
        shown.synthesize(ws, out=torch.empty(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"out is torch.uint8"):
        shown.synthesize(ws, out=torch.empty(2, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"ws has shape \[2, 3, 8\]; expected \[N, 8, 8\]"):
        shown.synthesize(ws[:, :3])
    with pytest.raises(ValueError, match="generator is a Linear; expected a StyleGAN3"):
        TorchModel(torch.nn.Linear(1, 1), shown.card)


def test_clamping_network_still_clamps_when_folded():
    network = generator("T6", conv_clamp=0.3).eval()
    z, c = inputs()
    with torch.no_grad():
        expected = network(z, c)
        network.synthesis.path = "textbook"
        torch.testing.assert_close(network(z, c), expected, atol=1e-5, rtol=0)
    shown = TorchModel(network, model("T6").card, precision="float32")
    pictures = shown.synthesize(shown.map(z, c))
    torch.testing.assert_close(pictures, expected, atol=1e-5, rtol=0)
    assert pictures.abs().max() <= 0.3 * 0.25 + 1e-6


@pytest.mark.parametrize("case", ["T6", "R6", "SG2"])
def test_bfloat16_pictures_stay_near_float32_ones(case):
    network = generator(case)
    with torch.no_grad():
        network.mapping.w_avg.zero_()
    difference = precision_difference(network, count=2)
    assert 0 < difference.mean <= 3
    same = precision_difference(network, precisions=("float32", "float32"), count=2)
    assert same == PixelDifference(0.0, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("case", ["T6", "R6", "SG2"])
def test_half_precision_on_cuda_stays_near_float32_on_the_processor(case):
    z, c = inputs()
    exact, half = model(case), model(case, device="cuda", precision="auto")
    assert (half.device, half.precision) == ("cuda:0", "float16")
    pictures = half.synthesize(half.map(z, c))
    assert pixel_difference(exact.synthesize(exact.map(z, c)), pictures).mean <= 3
