import pytest
import torch

from trainer.encoder import Encoder, onto_sphere


def test_codes_lie_on_the_sphere_of_the_latents():
    codes = Encoder(16, 3, 8, 4)(torch.rand(5, 3, 16, 16))
    assert torch.allclose(codes.norm(dim=1), torch.full((5,), 8**0.5), rtol=1e-4)


def test_a_code_does_not_depend_on_its_neighbours():
    encoder, pictures = Encoder(16, 3, 8, 4), torch.rand(5, 3, 16, 16)
    assert torch.allclose(encoder(pictures)[:2], encoder(pictures[:2]), atol=1e-6)


@pytest.mark.parametrize("resolution", [8, 16, 64, 128])
def test_every_power_of_two_has_an_encoder(resolution):
    codes = Encoder(resolution, 3, 8, 4)(torch.rand(1, 3, resolution, resolution))
    assert codes.shape == (1, 8)


def test_a_zero_vector_stays_finite_on_the_sphere():
    assert bool(onto_sphere(torch.zeros(1, 4)).isfinite().all())
