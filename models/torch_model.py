"""An image model around a torch generator: latents in, pictures out, on a device of choice.

Knows the two kinds of generator and the machine's number types; refuses to know about files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from models import stylegan2, stylegan3
from models.card import Card
from models.folded import FoldedSynthesis
from models.precision import PixelDifference, choose_precision, pixel_difference, precision_dtype

Generator = stylegan3.Generator | stylegan2.Generator
Synthesize = Callable[[Tensor, Tensor | None], Tensor]


class TorchModel:
    """A generator, folded for showing. It takes the generator over: moves and freezes it.

    `device` is "cpu", "cuda" or "cuda:N"; `precision` is "auto" or a type's name and concerns only
    the layers that tolerate half precision. For one calling thread at a time.
    """

    array: Literal["torch"] = "torch"

    def __init__(
        self,
        generator: torch.nn.Module,
        card: Card,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        if not isinstance(generator, Generator):
            kind = type(generator).__name__
            raise ValueError(f"generator is a {kind}; expected a StyleGAN3 or StyleGAN2 Generator")
        place = torch.device(device)
        if place.type == "cuda" and place.index is None:
            place = torch.device("cuda", 0)
        self.card, self.device = card, str(place)
        self.precision = choose_precision(self.device, precision)
        self.z_dim, self.c_dim, self.w_dim = generator.z_dim, generator.c_dim, generator.w_dim
        self.num_ws, self.resolution = generator.num_ws, generator.img_resolution
        self._channels = generator.img_channels
        generator = generator.to(place).eval().requires_grad_(False)
        self._mapping = generator.mapping
        self._synthesis = _folded(generator, precision_dtype(self.precision))

    def map(
        self,
        z: Any,  # noqa: ANN401  numpy or torch
        c: Any | None = None,  # noqa: ANN401
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Tensor:
        """Return ws [N, num_ws, w_dim], float32, for z [N, z_dim] (numpy or torch).

        `c` [N, c_dim] is needed where c_dim > 0. `psi` pulls the first `cutoff` rows (None: all)
        towards the model's mean.
        """
        with torch.inference_mode():
            labels = None if c is None or self.c_dim == 0 else self._native(c)
            ws: Tensor = self._mapping(self._native(z), labels, psi, cutoff)
            return ws.contiguous()

    def synthesize(self, ws: Any, out: Tensor | None = None) -> Tensor:  # noqa: ANN401
        """Return pictures [N, 3, R, R], float32, nominally in [-1, 1], for ws (numpy or torch).

        With `out` (any float type, same device, any strides) the last operation writes into it and
        it is returned.
        """
        ws = self._native(ws)
        if ws.ndim != 3 or list(ws.shape[1:]) != [self.num_ws, self.w_dim]:
            raise ValueError(
                f"ws has shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}]"
            )
        if out is not None:
            self._check_out(out, len(ws))
        with torch.inference_mode():
            return self._synthesis(ws, out)

    def _native(self, array: Any) -> Tensor:  # noqa: ANN401
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def _check_out(self, out: Tensor, batch: int) -> None:
        expected = [batch, self._channels, self.resolution, self.resolution]
        if list(out.shape) != expected or not out.is_floating_point():
            raise ValueError(
                f"out is {out.dtype} {list(out.shape)}; expected a float type and {expected}"
            )
        if str(out.device) != self.device:
            raise ValueError(f"out is on {out.device}; expected {self.device}")


def _folded(generator: Generator, reduced: torch.dtype) -> Synthesize:
    if isinstance(generator, stylegan3.Generator):
        return FoldedSynthesis(generator.synthesis, reduced)
    synthesis = generator.synthesis

    def synthesize(ws: Tensor, out: Tensor | None = None) -> Tensor:
        pictures: Tensor = synthesis(ws, "const", reduced)
        return pictures if out is None else out.copy_(pictures)

    return synthesize


def precision_difference(
    generator: Generator,
    *,
    device: str = "cpu",
    precisions: tuple[str, str] = ("float32", "bfloat16"),
    count: int = 4,
    seed: int = 0,
) -> PixelDifference:
    """Return how far `count` pictures of a generator are apart between two precisions.

    The generator is moved to `device` and frozen, as in TorchModel; class vectors are the first.
    """
    generator = generator.to(device).eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.z_dim, generator=draw).to(device)
    c = torch.eye(generator.c_dim)[:1].expand(count, -1).to(device) if generator.c_dim else None
    with torch.inference_mode():
        ws = generator.mapping(z, c)
        first, second = (
            _folded(generator, precision_dtype(choose_precision(device, name)))(ws, None)
            for name in precisions
        )
    return pixel_difference(first, second)
