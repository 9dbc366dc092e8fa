"""What every image model promises, held against all of them."""

import numpy as np
import pytest
import torch

from models.registry import load_model
from models.testcard import TestCard
from tests.models.small_models import write_small_model

MODELS = ["testcard", "stylegan3-t", "stylegan3-r", "stylegan2", "conditional"]


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    if request.param == "testcard":
        return load_model("testcard")
    folder = tmp_path_factory.mktemp("models")
    kind, classes = (request.param, 0) if request.param != "conditional" else ("stylegan3-t", 3)
    write_small_model(folder, kind, "small", c_dim=classes)
    return load_model("small", device="cpu", precision="float32", beside=folder)


def latents(model, count=3):
    z = np.random.RandomState(5).randn(count, model.z_dim)
    classes = np.eye(model.c_dim)[np.arange(count) % model.c_dim] if model.c_dim else None
    return z, classes


def mapped(model, count=3, **options):
    return model.map(*latents(model, count), **options)


def empty_like(model, count, float_type):
    shape = (count, 3, model.resolution, model.resolution)
    if model.array == "numpy":
        return np.full(shape, 7, float_type)
    return torch.full(shape, 7, dtype=getattr(torch, float_type))


def numbers(array):
    return np.asarray(array, dtype=np.float32)


def test_what_it_says_agrees_with_its_card(model):
    for name in ("z_dim", "c_dim", "w_dim", "num_ws", "resolution"):
        assert getattr(model, name) == getattr(model.card, name)
    assert model.device == "cpu"
    assert model.precision == "float32"


def test_mapping_gives_native_rows_of_float32(model):
    ws = mapped(model)
    kind = np.ndarray if model.array == "numpy" else torch.Tensor
    assert isinstance(ws, kind)
    assert str(ws.dtype).removeprefix("torch.") == "float32"
    assert tuple(ws.shape) == (3, model.num_ws, model.w_dim)


def test_mapping_takes_numpy_and_native_latents_alike(model):
    z, classes = latents(model)
    native = z.astype(np.float32)
    if model.array == "torch":
        native = torch.from_numpy(native)
        classes = None if classes is None else torch.from_numpy(classes)
    assert np.allclose(numbers(model.map(native, classes)), numbers(mapped(model)), atol=1e-5)


def test_pictures_are_native_float32_and_finite(model):
    pictures = model.synthesize(mapped(model))
    assert type(pictures) is type(mapped(model))
    assert str(pictures.dtype).removeprefix("torch.") == "float32"
    assert tuple(pictures.shape) == (3, 3, model.resolution, model.resolution)
    assert np.isfinite(numbers(pictures)).all()
    assert not getattr(pictures, "requires_grad", False)


def test_different_latents_give_different_pictures(model):
    first, second, _ = numbers(model.synthesize(mapped(model)))
    assert np.abs(first - second).mean() > 1e-3


def test_same_latents_give_the_same_picture_twice(model):
    ws = mapped(model)
    before = numbers(ws).copy()
    assert np.array_equal(numbers(model.synthesize(ws)), numbers(model.synthesize(mapped(model))))
    assert np.array_equal(numbers(ws), before), "synthesize changed its input"


def test_a_picture_ignores_what_else_is_in_its_batch(model):
    together = numbers(model.synthesize(mapped(model)))
    z, classes = latents(model)
    for index in range(3):
        only = slice(index, index + 1)
        ws = model.map(z[only], None if classes is None else classes[only])
        assert np.allclose(numbers(model.synthesize(ws))[0], together[index], atol=1e-5)


def test_psi_of_one_leaves_and_of_nought_is_the_mean(model):
    full, half, mean = (numbers(mapped(model, psi=psi)) for psi in (1.0, 0.5, 0.0))
    assert np.array_equal(full, numbers(mapped(model)))
    assert np.allclose(mean, mean[:1, :1], atol=1e-6)
    assert np.allclose(half, (full + mean) / 2, atol=1e-5)


def test_cutoff_spares_the_rows_beyond_it(model):
    full, mean = numbers(mapped(model)), numbers(mapped(model, psi=0.0))
    for cutoff in {0, model.num_ws // 2, model.num_ws}:
        ws = numbers(mapped(model, psi=0.0, cutoff=cutoff))
        assert np.allclose(ws[:, :cutoff], mean[:, :cutoff], atol=1e-6)
        assert np.array_equal(ws[:, cutoff:], full[:, cutoff:])


def test_pictures_are_written_into_the_memory_given(model):
    ws = mapped(model)
    expected = numbers(model.synthesize(ws))
    for float_type, tolerance in (("float32", 1e-6), ("float16", 2e-3)):
        out = empty_like(model, 3, float_type)
        address = out.ctypes.data if model.array == "numpy" else out.data_ptr()
        assert model.synthesize(ws, out=out) is out
        assert address == (out.ctypes.data if model.array == "numpy" else out.data_ptr())
        assert np.allclose(numbers(out), expected, atol=tolerance, rtol=tolerance)


def test_a_part_of_larger_memory_is_all_that_is_written(model):
    whole = empty_like(model, 3, "float32")
    model.synthesize(mapped(model, 1), out=whole[1:2])
    assert (numbers(whole)[[0, 2]] == 7).all()
    assert np.allclose(numbers(whole)[1:2], numbers(model.synthesize(mapped(model, 1))), atol=1e-6)


def test_the_test_card_stays_within_the_nominal_range():
    model = TestCard()
    pictures = model.synthesize(model.map(np.random.RandomState(0).randn(50, 16) * 9))
    assert pictures.min() >= -1.0
    assert pictures.max() <= 1.0
