"""A training small enough for tests: 16 px, a few thousand parameters, made-up pictures."""

import torch

from trainer.settings import Architecture, Settings
from trainer.training import Training, new_training

ARCHITECTURE = Architecture(
    resolution=16,
    z_dim=8,
    w_dim=8,
    num_layers=3,
    margin_size=2,
    channel_base=64,
    channel_max=8,
    discriminator_channel_base=64,
    discriminator_channel_max=8,
    encoder_width=4,
)


class Patches:
    """Forty pictures of one colour each: enough to learn from, nothing to store."""

    sha256 = "ab" * 32

    def __init__(self, count: int = 40) -> None:
        colours = torch.rand((count, 3, 1, 1), generator=torch.Generator().manual_seed(5))
        self.images = (colours * 2 - 1).expand(count, 3, 16, 16).contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        return self.images[indices]


def settings(**changes: object) -> Settings:
    base = {
        "architecture": ARCHITECTURE,
        "batch": 4,
        "pull_codes": 12,
        "pull_directions": 16,
        "r1_every": 2,
        "discriminator_alone_steps": 1,
    }
    return Settings.model_validate({**base, **changes})


def training(**changes: object) -> Training:
    torch.set_num_threads(1)
    return new_training(settings(**changes), Patches())


def tensors(of: Training) -> dict[str, torch.Tensor]:
    """Every number that a step may move, by name."""
    found: dict[str, torch.Tensor] = {}
    for name, network in vars(of.networks).items():
        found |= {f"{name}.{key}": value.clone() for key, value in network.state_dict().items()}
    for name, optimiser in of.optimisers.items():
        for index, state in enumerate(optimiser.state_dict()["state"].values()):
            found |= {f"{name}.{index}.{key}": value.clone() for key, value in state.items()}
    return found
