import numpy as np
import pytest

from installation.latent import Drawn, Given, Latent, Seed
from installation.mapper import Mapper
from models.registry import load_model
from models.testcard import TestCard


@pytest.mark.parametrize("space", ["z", "w"])
def test_a_latent_at_a_waypoint_is_the_waypoint_itself(space):
    model = TestCard()
    ws = Mapper(model).ws([Latent(space, Seed(3), Seed(4), 0.0, 0.7)])
    z = np.random.RandomState(3).randn(1, model.z_dim)
    assert np.allclose(ws, model.map(z.astype(np.float32), psi=0.7), atol=1e-6)


def test_in_w_the_way_is_a_straight_line_between_mapped_points():
    model = TestCard()
    mapper = Mapper(model)
    a, b, middle = (
        mapper.ws([Latent("w", Seed(3), Drawn(1, 2), weight, 0.7)]) for weight in (0.0, 1.0, 0.25)
    )
    assert np.allclose(middle, 0.75 * a + 0.25 * b, atol=1e-6)


def test_a_written_out_point_in_w_is_not_mapped():
    model = TestCard()
    values = tuple(0.1 * k for k in range(model.w_dim))
    ws = Mapper(model).ws([Latent("w", Given(values), Given(values), 0.5, 1.0)])
    assert np.allclose(ws, np.broadcast_to(np.float32(values), ws.shape), atol=1e-6)
    mean = Mapper(model).ws([Latent("w", Given(values), Given(values), 0.5, 0.0)])
    assert np.allclose(mean, model.map(np.zeros((1, model.z_dim), np.float32), psi=0.0), atol=1e-6)


@pytest.mark.parametrize("space", ["z", "w"])
def test_walks_in_both_spaces_draw_with_a_network(space):
    model = load_model("figures-64", device="cpu")
    mapper = Mapper(model)
    ends = [model.synthesize(mapper.ws([Latent(space, Seed(1), Drawn(1, 2), w)])) for w in (0, 1)]
    middle = model.synthesize(mapper.ws([Latent(space, Seed(1), Drawn(1, 2), 0.5)]))
    assert all(float(abs(middle - end).max()) > 0.01 for end in ends)
