"""The w of a model for the latents of a plan; knows no time, no ring and no thread."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from installation.latent import (
    Given,
    Latent,
    Point,
    Seed,
    latent_vector,
    point_vector,
    weighted_points,
)
from models.image_model import ImageModel

REMEMBERED = 32  # mapped points of a walk in w: eight legs of a spline on each of two channels


class Mapper:
    """The w of a model for latents; remembers the mapped end points of legs in w."""

    def __init__(self, model: ImageModel) -> None:
        self._model = model
        self._mapped: dict[tuple[Point, float], Any] = {}

    def ws(self, latents: Sequence[Latent]) -> Any:  # noqa: ANN401  the model's own arrays
        """[N, num_ws, w_dim] for N latents of one scene (they share space and psi)."""
        if latents[0].space == "z":
            z = np.stack([latent_vector(latent, self._model.z_dim) for latent in latents])
            return self._model.map(z, psi=latents[0].psi)
        z = np.zeros((len(latents), self._model.z_dim), np.float32)
        ws = self._model.map(z, psi=latents[0].psi) * 1.0  # ours to write to: torch guards its own
        for row, latent in enumerate(latents):
            points = weighted_points(latent)
            ws[row] = sum(self._w(point, latent.psi) * weight for point, weight in points)
        return ws

    def _w(self, point: Point, psi: float) -> Any:  # noqa: ANN401
        found = self._mapped.get((point, psi))
        if found is None:
            while len(self._mapped) >= REMEMBERED:
                del self._mapped[next(iter(self._mapped))]
            found = (
                self._written_out(point, psi) if isinstance(point, Given) else self._map(point, psi)
            )
            self._mapped[point, psi] = found
        return found

    def _map(self, point: Point, psi: float) -> Any:  # noqa: ANN401
        z = point_vector(point, self._model.z_dim)[
            None
        ].copy()  # torch wants memory it may write to
        return self._model.map(z, psi=psi)[0]

    def _written_out(self, point: Point, psi: float) -> Any:  # noqa: ANN401
        mean = self._map(Seed(0), 0.0)  # psi 0 is the mean whatever the seed
        ws = mean * 1.0
        for place, value in enumerate(point_vector(point, self._model.w_dim)):
            ws[:, place] = float(value)  # one by one: the array may be numpy's or a GPU's
        return mean + (ws - mean) * psi
