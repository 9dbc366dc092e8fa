"""The yardsticks measure the same network: equal pictures by every path."""

import numpy as np
import pytest

from models.registry import ModelUnavailable
from models.yardstick import untrained, yardsticks

TINY = {
    "z_dim": 8,
    "c_dim": 0,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 128,
    "channel_max": 8,
    "num_layers": 4,
    "num_critical": 1,
    "margin_size": 3,
    "mapping_kwargs": {"num_layers": 1},
}


@pytest.fixture(scope="module")
def tiny():
    return untrained(TINY, precision="float32")


def pictures(model, psi: float = 0.7) -> np.ndarray:
    z = np.random.default_rng(3).standard_normal((2, 8)).astype(np.float32)
    return model.synthesize(model.map(z, psi=psi)).numpy()


def test_textbook_and_fast_path_draw_the_same_picture(tiny):
    assert tiny.textbook is not None
    np.testing.assert_allclose(pictures(tiny.model), pictures(tiny.textbook), atol=1e-4)


def test_a_float32_model_is_its_own_exact_yardstick(tiny):
    assert tiny.exact is tiny.model


def test_a_reduced_model_is_compared_with_float32_of_the_same_weights():
    reduced = untrained(TINY, precision="bfloat16")
    assert (reduced.model.precision, reduced.exact.precision) == ("bfloat16", "float32")
    apart = np.abs(pictures(reduced.model) - pictures(reduced.exact))
    assert apart.mean() < 0.05


def test_untrained_networks_of_one_seed_are_equal(tiny):
    again = untrained(TINY, precision="float32")
    assert np.array_equal(pictures(tiny.model), pictures(again.model))
    assert not np.array_equal(pictures(tiny.model), pictures(untrained(TINY, seed=1).model))


def test_the_textbook_model_writes_into_what_it_is_given(tiny):
    out = tiny.textbook.synthesize(tiny.textbook.map(np.zeros((1, 8), np.float32)))
    other = tiny.textbook.map(np.ones((1, 8), np.float32))
    assert tiny.textbook.synthesize(other, out=out) is out
    np.testing.assert_array_equal(out.numpy(), tiny.textbook.synthesize(other).numpy())


def test_the_test_card_has_no_textbook():
    three = yardsticks("testcard")
    assert three.textbook is None and three.exact is three.model


def test_a_missing_model_is_refused_by_name():
    with pytest.raises(ModelUnavailable, match="no-such-model: no such model"):
        yardsticks("no-such-model")


def test_a_stored_model_is_loaded_for_every_path(tmp_path, tiny):
    import hashlib

    import torch
    from safetensors.torch import save_file

    from models.card import write_card
    from models.stylegan3 import Generator

    torch.manual_seed(5)
    path = tmp_path / "stored.safetensors"
    save_file({k: v.contiguous() for k, v in Generator(**TINY).state_dict().items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = tiny.model.card.model_copy(update={"name": "stored", "sha256": digest})
    write_card(card, tmp_path / "stored.card.yaml")
    three = yardsticks("stored", precision="float32", beside=tmp_path)
    np.testing.assert_allclose(pictures(three.model), pictures(three.textbook), atol=1e-4)
