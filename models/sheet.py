"""Contact sheets: many pictures on one. Knows no model, and imports no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP_PX = 2
PAPER = (24, 24, 24)


def to_uint8(images: Any) -> NDArray[np.uint8]:  # noqa: ANN401  numpy or torch, not imported here
    """Turn pictures [N,3,H,W], nominally in [-1,1], into uint8 [N,H,W,3].

    Takes numpy arrays and torch tensors of any device. clip(127.5·x + 128, 0, 255), truncated
    (specs: StyleGAN3 §1.0, so that sheets equal those of the usual tools); NaN becomes mid-grey.
    """
    if hasattr(images, "detach"):
        images = images.detach().float().cpu().numpy()
    pixels_NCHW = np.nan_to_num(np.asarray(images, dtype=np.float32), nan=0.0)
    bytes_NCHW = np.clip(pixels_NCHW * 127.5 + 128.0, 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(bytes_NCHW.transpose(0, 2, 3, 1))


def contact_sheet(pictures: NDArray[np.uint8], columns: int, scale: int = 1) -> Image.Image:
    """Lay pictures uint8 [N,H,W,3] out in rows of `columns`, each enlarged `scale` times.

    Enlarging repeats pixels: a sheet shows what the model made, not what a filter made of it.
    """
    large = pictures.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = large.shape
    rows = -(-count // columns)
    size = (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + GAP_PX)
    sheet = Image.new("RGB", size, PAPER)
    for index, picture in enumerate(large):
        row, column = divmod(index, columns)
        place = (GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX))
        sheet.paste(Image.fromarray(picture), place)
    return sheet
