"""A model that draws the latent it is given, so that a wrong latent is visible.

Pure numpy: it needs no torch, no weights and no GPU, and the same latent gives the same picture.
"""

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.card import Card

Floats = NDArray[np.float32]

LATENTS = 16  # as many bars as can be told apart at 64 px
RESOLUTION = 64
BAR_TOP = 0.72  # the bars' band, in picture heights from the top
BAR_REACH = 2.5  # a bar touches the band's edge at this latent value
RING_RADIUS = 0.24  # of the pointer's circle, in picture widths
RING_CENTRE = (0.5, 0.40)  # x, y
DISC_RADIUS = 0.075
CONTRAST = 0.42  # of the colour field; chosen by eye, 2026-11
GREY = 0.72


class TestCard:
    """An ImageModel that shows its latent.

    - A smooth colour field: each latent value weighs one coloured wave.
    - A band of bars at the bottom: bar k stands for value k, upwards positive.
    - A disc on a ring: its angle is that of (value 0, value 1), anticlockwise from the right.
    - A white square with a black core top left, a grey dot top right: which way is up.
    """

    __test__ = False  # not a pytest class, in spite of its name
    array: Literal["numpy", "torch"] = "numpy"
    device = "cpu"
    precision = "float32"
    z_dim = LATENTS
    c_dim = 0
    w_dim = LATENTS
    num_ws = 1

    def __init__(self, resolution: int = RESOLUTION) -> None:
        """Make a test card of `resolution` × `resolution` pixels."""
        self.resolution = resolution
        self.card = Card(
            name="testcard",
            kind="testcard",
            arguments={"resolution": resolution},
            resolution=resolution,
            z_dim=self.z_dim,
            c_dim=self.c_dim,
            w_dim=self.w_dim,
            num_ws=self.num_ws,
            licence="Apache-2.0",
            notes=("Draws the latent it is given; not a trained model.",),
        )

    def map(
        self, z: NDArray[Any], c: object = None, psi: float = 1.0, cutoff: int | None = None
    ) -> Floats:
        """Map z [N,16] to ws [N,1,16]: z scaled to unit mean square, then by `psi`."""
        z_NZ = np.asarray(z, dtype=np.float32)
        power_N1 = np.mean(np.square(z_NZ), axis=1, keepdims=True, dtype=np.float32)
        w_NW = z_NZ / np.sqrt(power_N1 + np.float32(1e-8))
        truncated = cutoff is None or cutoff > 0
        w_NW = w_NW * (psi if truncated else 1.0) + 0.0  # no -0: its angle differs from that of 0
        return w_NW.astype(np.float32)[:, None, :]

    def synthesize(self, ws: Floats, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Draw ws [N,1,16] as pictures [N,3,H,H] in [-1,1], into `out` where it is given."""
        w_NW = np.asarray(ws, dtype=np.float32)[:, 0, :]
        side = self.resolution
        if out is None:
            out = np.empty((len(w_NW), 3, side, side), dtype=np.float32)
        for w_W, picture in zip(w_NW, out, strict=True):
            # One by one: a batched product rounds differently for other batch sizes.
            np.clip(self._draw(w_W), -1.0, 1.0, out=picture, casting="same_kind")
        return out

    def _draw(self, w_W: Floats) -> Floats:
        side = self.resolution
        field = np.tanh(w_W @ _waves(side)) * np.float32(GREY)
        image_CHW: Floats = field.reshape(3, side, side).astype(np.float32, copy=False)
        _draw_pointer(image_CHW, w_W)
        _draw_bars(image_CHW, w_W)
        _draw_marks(image_CHW)
        return image_CHW


def _draw_pointer(image_CHW: Floats, w_W: Floats) -> None:
    """A thin ring, and a disc on it at the angle of the first two latent values."""
    x_HW, y_HW = _grid(image_CHW.shape[-1])
    angle = np.arctan2(w_W[1], w_W[0])
    from_centre_HW = np.hypot(x_HW - RING_CENTRE[0], y_HW - RING_CENTRE[1])
    ring_HW = _inside(np.abs(from_centre_HW - RING_RADIUS) - 0.006)
    disc_x = RING_CENTRE[0] + RING_RADIUS * np.cos(angle)
    disc_y = RING_CENTRE[1] - RING_RADIUS * np.sin(angle)
    from_disc_HW = np.hypot(x_HW - disc_x, y_HW - disc_y)
    _blend(image_CHW, ring_HW * np.float32(0.45), 1.0)
    _blend(image_CHW, _inside(from_disc_HW - DISC_RADIUS), -0.9)
    _blend(image_CHW, _inside(from_disc_HW - 0.66 * DISC_RADIUS), 0.95)


def _draw_bars(image_CHW: Floats, w_W: Floats) -> None:
    """A dark band with one bar for each latent value, upwards from its middle where positive."""
    x_HW, y_HW = _grid(image_CHW.shape[-1])
    which_HW = np.clip((x_HW * LATENTS).astype(np.int64), 0, LATENTS - 1)
    middle, half = (1.0 + BAR_TOP) / 2, (1.0 - BAR_TOP) / 2
    height_HW = (middle - y_HW) / half  # 1 at the band's top, -1 at its foot
    value_HW = np.clip(w_W / np.float32(BAR_REACH), -1.0, 1.0)[which_HW]
    # Signed distance to the bar's end, positive outside it; smooth in the value.
    beyond_HW = np.abs(height_HW - value_HW / 2) - np.abs(value_HW) / 2
    in_bar_HW = np.abs((x_HW * LATENTS) % 1.0 - 0.5) < 0.36
    _blend(image_CHW, _inside(BAR_TOP - y_HW) * np.float32(0.82), -0.94)
    cover_HW = _inside(beyond_HW * half) * in_bar_HW * (y_HW > BAR_TOP)
    for channel, colour_K in zip(image_CHW, _bar_colours(), strict=True):
        channel += (colour_K[which_HW] - channel) * cover_HW


def _draw_marks(image_CHW: Floats) -> None:
    """Top left a white square with a black core; top right a small grey dot; nothing below."""
    x_HW, y_HW = _grid(image_CHW.shape[-1])
    from_left_HW = np.maximum(np.abs(x_HW - 0.09), np.abs(y_HW - 0.09))
    _blend(image_CHW, _inside(from_left_HW - 0.06), 1.0)
    _blend(image_CHW, _inside(from_left_HW - 0.025), -1.0)
    _blend(image_CHW, _inside(np.hypot(x_HW - 0.91, y_HW - 0.09) - 0.03), 0.3)


def _blend(image_CHW: Floats, cover_HW: Floats, level: float) -> None:
    image_CHW += (np.float32(level) - image_CHW) * cover_HW


def _inside(distance_HW: Floats) -> Floats:
    """1 inside (distance < 0), 0 outside, and a slope one pixel wide between."""
    side = distance_HW.shape[-1]
    cover_HW: Floats = np.clip(0.5 - distance_HW * side, 0.0, 1.0).astype(np.float32)
    return cover_HW


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """Pixel centres x, y [H,W] in (0,1), y downwards."""
    centres = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
    y_HW, x_HW = np.meshgrid(centres, centres, indexing="ij")
    return x_HW, y_HW


@cache
def _waves(side: int) -> Floats:
    """One coloured wave of at most 1.6 periods for each latent value, [16, 3·H·W]."""
    x_HW, y_HW = _grid(side)
    waves = np.empty((LATENTS, 3, side, side), dtype=np.float32)
    for k in range(LATENTS):
        angle, periods = 2.399963 * k, 0.35 + 1.25 * k / LATENTS  # golden angle: none alike
        along_HW = x_HW * np.cos(angle) + y_HW * np.sin(angle)
        wave_HW = np.cos(2 * np.pi * periods * along_HW + 1.7 * k)
        hue_C = 0.75 * np.cos(2 * np.pi * (0.61803 * k + np.array([0.0, 1 / 3, 2 / 3]))) + 0.3
        waves[k] = CONTRAST * hue_C[:, None, None] * wave_HW
    return waves.reshape(LATENTS, -1)


@cache
def _bar_colours() -> tuple[Floats, Floats, Floats]:
    """Red, green and blue of the 16 bars, once around the hues, never dark."""
    hue_K = np.arange(LATENTS) / LATENTS
    red, green, blue = (
        (0.35 + 0.6 * np.cos(2 * np.pi * (hue_K + shift))).astype(np.float32)
        for shift in (0.0, 2 / 3, 1 / 3)
    )
    return red, green, blue
