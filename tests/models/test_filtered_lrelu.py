import pytest
import torch

from models import filtered_lrelu, fir_design, textbook
from models.banded import Banded, Geometry, down_matrix, up_matrix
from models.filtered_lrelu import FilteredLrelu, choose_route
from tests.models.golden_weights import hashed_tensor

# (in, out, up, down, taps per factor, low, high): the network's kinds of layer, then odd ones.
SHAPES = {
    "same rate": Geometry(38, 36, 2, 2, (9, 8), 12, 12),
    "doubling": Geometry(38, 52, 4, 2, (-6, -9), 24, 12),
    "dropping the margin": Geometry(54, 32, 2, 2, (-11, -12), 12, 12),
    "rotation kernel": Geometry(36, 36, 2, 2, (11, 10), 12, 12),
    "wide enough for tiles": Geometry(75, 72, 2, 2, (8, 8), 12, 12),
    "odd size": Geometry(23, 21, 2, 2, (9, 8), 12, 12),
    "uneven padding": Geometry(17, 7, 2, 3, (4, 9), 10, 18),
    "padding beyond the taps": Geometry(9, 19, 2, 2, (15, 14), 8, 4),
    "odd taps": Geometry(15, 15, 3, 3, (8, 7), 9, 9),
    "no rate change": Geometry(16, 14, 1, 1, (1, 1), 3, 3),
}


def operands(shape, *, radial=False, batch=2, channels=5):
    up = fir_design.lowpass(shape.up_taps, 2.0, 4.0, 32.0)
    down = fir_design.lowpass(shape.down_taps, 3.0, 4.0, 32.0, radial=radial)
    x = hashed_tensor((batch, channels, shape.in_size, shape.in_size), 5)
    return x, up, down


def yardstick(x, up, down, shape, *, gain=2**0.5, slope=0.2, clamp=256.0):
    return textbook.filtered_lrelu(
        x,
        torch.zeros(x.shape[1]),
        up,
        down,
        up=shape.up,
        down=shape.down,
        padding=shape.padding,
        gain=gain,
        slope=slope,
        clamp=clamp,
    )


@pytest.mark.parametrize("radial", [False, True], ids=["separable", "radial"])
@pytest.mark.parametrize("route", ["banded", "depthwise"])
@pytest.mark.parametrize("name", SHAPES)
def test_both_routes_meet_the_textbook_and_its_gradients(name, route, radial):
    shape = SHAPES[name]
    x, up, down = operands(shape, radial=radial)
    fast = FilteredLrelu(shape, gain=2**0.5, slope=0.2, clamp=256.0)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = fast(mine, up, down, route), yardstick(theirs, up, down, shape)
    assert list(found.shape) == [2, 5, shape.out_size, shape.out_size]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    pull = hashed_tensor(found.shape, 9)
    found.backward(pull)
    expected.backward(pull)
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x, up, down, route), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("bytes_at_a_time", [1, 5 * 82 * 82 * 4, 41 * 82 * 82 * 4])
def test_pieces_make_the_same_whole(monkeypatch, bytes_at_a_time):
    shape = SHAPES["same rate"]
    x, up, down = operands(shape, batch=3, channels=20)
    expected = yardstick(x, up, down, shape)
    fast = FilteredLrelu(shape, gain=2**0.5, slope=0.2, clamp=256.0)
    monkeypatch.setattr(filtered_lrelu, "PIECE_BYTES", bytes_at_a_time)
    torch.testing.assert_close(fast(x, up, down, "depthwise"), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("route", ["banded", "depthwise"])
def test_clamp_acts_where_samples_can_reach_it(route):
    shape = SHAPES["same rate"]
    x, up, down = operands(shape)
    for clamp in (0.05, 0.5, 1e9, None):
        fast = FilteredLrelu(shape, gain=2**0.5, slope=0.2, clamp=clamp)
        expected = yardstick(x, up, down, shape, clamp=clamp)
        torch.testing.assert_close(fast(x, up, down, route), expected, atol=1e-5, rtol=0)


def test_without_filters_only_the_clamp_is_left():
    shape = Geometry(8, 8, 1, 1, (0, 0), 1, 1)
    fast = FilteredLrelu(shape, gain=1.0, slope=1.0, clamp=0.5)
    x = hashed_tensor((1, 3, 8, 8), 5)
    assert torch.equal(fast(x, None, None), x.clamp(-0.5, 0.5))
    rectified = FilteredLrelu(shape, gain=2.0, slope=0.2, clamp=None)
    expected = torch.nn.functional.leaky_relu(x, 0.2) * 2
    torch.testing.assert_close(rectified(x, None, None), expected)


def test_input_is_left_as_it_was():
    shape = SHAPES["same rate"]
    x, up, down = operands(shape)
    before = x.clone()
    bare = FilteredLrelu(Geometry(38, 38, 1, 1, (0, 0), 1, 1), gain=1.0, slope=0.2, clamp=None)
    bare(x, None, None)
    for route in ("banded", "depthwise"):
        FilteredLrelu(shape, gain=1.0, slope=0.2, clamp=1.0)(x, up, down, route)
    assert torch.equal(x, before)


@pytest.mark.parametrize("route", ["banded", "depthwise"])
def test_changed_filters_are_noticed(route):
    shape = SHAPES["same rate"]
    x, up, down = operands(shape)
    fast = FilteredLrelu(shape, gain=1.0, slope=0.2, clamp=None)
    fast(x, up, down, route)
    up.mul_(0.5)
    expected = yardstick(x, up, down, shape, gain=1.0, clamp=None)
    torch.testing.assert_close(fast(x, up, down, route), expected, atol=1e-5, rtol=0)
    other = down.flip(0) * 2
    expected = yardstick(x, up, other, shape, gain=1.0, clamp=None)
    torch.testing.assert_close(fast(x, up, other, route), expected, atol=1e-5, rtol=0)


def test_constants_made_in_inference_serve_training():
    shape = SHAPES["same rate"]
    x, up, down = operands(shape)
    for route in ("banded", "depthwise"):
        fast = FilteredLrelu(shape, gain=1.0, slope=0.2, clamp=None)
        with torch.inference_mode():
            fast(x, up, down, route)
        leaf = x.clone().requires_grad_()
        fast(leaf, up, down, route).sum().backward()
        assert leaf.grad.abs().sum() > 0


def test_banded_products_equal_dense_ones():
    matrix = up_matrix(SHAPES["wide enough for tiles"], torch.ones(12))
    banded = Banded(matrix)
    x = hashed_tensor((40, matrix.shape[0]), 3)
    torch.testing.assert_close(banded.rows(x), x @ matrix, atol=1e-5, rtol=0)
    torch.testing.assert_close(banded.columns(x.t()), matrix.t() @ x.t(), atol=1e-5, rtol=0)
    y = hashed_tensor((40, matrix.shape[1]), 3)
    torch.testing.assert_close(banded.rows(y, transposed=True), y @ matrix.t(), atol=1e-5, rtol=0)


def test_matrices_spend_the_filter_on_every_inner_sample():
    shape = SHAPES["same rate"]
    up = fir_design.lowpass(12, 2.0, 4.0, 32.0)
    inner = up_matrix(shape, up)[8:-8].sum(dim=1)
    torch.testing.assert_close(inner, torch.ones_like(inner))
    outputs = down_matrix(shape, up).sum(dim=0)
    torch.testing.assert_close(outputs, torch.ones_like(outputs))


def test_route_follows_device_and_number_type():
    assert choose_route(torch.zeros(1)) == "depthwise"
    assert choose_route(torch.zeros(1, dtype=torch.bfloat16)) == "banded"
    assert choose_route(torch.zeros(1, device="meta")) == "banded"


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="gain is 0; expected a positive number"):
        FilteredLrelu(SHAPES["odd size"], gain=0, slope=0.2, clamp=None)
    with pytest.raises(ValueError, match="out_size is 37; these filters give 36"):
        Geometry(38, 37, 2, 2, (9, 8), 12, 12)
    x, up, _ = operands(SHAPES["odd size"])
    fast = FilteredLrelu(SHAPES["odd size"], gain=1, slope=0.2, clamp=None)
    with pytest.raises(ValueError, match="one filter is missing"):
        fast(x, up, None)
