"""A model and its two yardsticks: the same network in plain float32, and by the textbook path.

For comparing only: knows no clock and loads nothing that the registry has not checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.card import Card
from models.image_model import ImageModel
from models.registry import TESTCARD, find_model, load_model

if TYPE_CHECKING:
    from torch import Tensor

    from models.stylegan3 import Generator

# The 256 px network of the bench: config T with half the usual channels (specs: StyleGAN3 §2.4).
UNTRAINED_256: Mapping[str, Any] = {
    "z_dim": 512,
    "c_dim": 0,
    "w_dim": 512,
    "img_resolution": 256,
    "img_channels": 3,
    "channel_base": 16384,
    "mapping_kwargs": {"num_layers": 2},
}


@dataclass(frozen=True)
class Yardsticks:
    """One network three times; `textbook` is None for a kind that has no textbook path."""

    model: ImageModel  # as a show uses it
    exact: ImageModel  # the fast path in float32; may be `model` itself
    textbook: ImageModel | None


class TextbookModel:
    """An ImageModel that computes as the papers write it: float32, one operation after another."""

    array: Literal["numpy", "torch"] = "torch"
    precision = "float32"

    def __init__(self, generator: Generator, card: Card, device: str) -> None:
        """Take the generator over: move, freeze and put it on the textbook path."""
        self.card, self.device = card, device
        self.z_dim, self.c_dim, self.w_dim = card.z_dim, card.c_dim, card.w_dim
        self.num_ws, self.resolution = card.num_ws, card.resolution
        self._generator = generator.to(device).eval().requires_grad_(False)
        self._generator.synthesis.path = "textbook"

    def map(
        self,
        z: Any,  # noqa: ANN401  numpy or torch
        c: Any | None = None,  # noqa: ANN401
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Tensor:
        """Map z [N, z_dim] to ws [N, num_ws, w_dim]."""
        import torch

        with torch.inference_mode():
            points = torch.as_tensor(np.asarray(z), dtype=torch.float32, device=self.device)
            ws: Tensor = self._generator.mapping(points, c, psi, cutoff)
        return ws

    def synthesize(self, ws: Tensor, out: Tensor | None = None) -> Tensor:
        """Make pictures [N, 3, R, R] from ws; copied into `out` where one is given."""
        import torch

        with torch.inference_mode():
            pictures: Tensor = self._generator.synthesis(ws)
            return pictures if out is None else out.copy_(pictures)


def yardsticks(
    name: str, device: str = "auto", precision: str = "auto", *, beside: Path | None = None
) -> Yardsticks:
    """Load a model three times over. Raises ModelUnavailable."""
    model = load_model(name, device, precision, beside=beside)
    if name == TESTCARD:
        return Yardsticks(model, model, None)
    exact = model
    if model.precision != "float32":
        exact = load_model(name, model.device, "float32", beside=beside)
    if not model.card.kind.startswith("stylegan3"):
        return Yardsticks(model, exact, None)
    from safetensors.torch import load_file

    from models.stylegan3 import Generator

    generator = Generator(**model.card.arguments)
    generator.load_state_dict(load_file(find_model(name, beside=beside)))
    return Yardsticks(model, exact, TextbookModel(generator, model.card, model.device))


def untrained(
    arguments: Mapping[str, Any] = UNTRAINED_256,
    device: str = "cpu",
    precision: str = "auto",
    seed: int = 0,
) -> Yardsticks:
    """Build a config T network with random weights, three times the same."""
    import torch

    from models.stylegan3 import Generator
    from models.torch_model import TorchModel

    def generator() -> Generator:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Generator(**arguments)

    first = generator()
    card = Card(
        name="untrained",
        kind="stylegan3-t",
        arguments=dict(arguments),
        resolution=arguments["img_resolution"],
        z_dim=arguments["z_dim"],
        c_dim=arguments["c_dim"],
        w_dim=arguments["w_dim"],
        num_ws=first.num_ws,
        sha256="0" * 64,  # of no file: these weights are never stored
    )
    model = TorchModel(first, card, device, precision)
    exact = model
    if model.precision != "float32":
        exact = TorchModel(generator(), card, device, "float32")
    return Yardsticks(model, exact, TextbookModel(generator(), card, device))
