import numpy as np
import torch

from models.sheet import GAP_PX, contact_sheet, to_uint8


def test_levels_are_those_of_the_usual_tools():
    values = np.array([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0, np.nan], np.float32)
    images = np.broadcast_to(values[None, None, None], (1, 3, 1, 7))
    assert to_uint8(images)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 255, 128]


def test_tensors_and_arrays_give_the_same_bytes():
    images = np.random.RandomState(0).randn(2, 3, 4, 5).astype(np.float32)
    from_tensor = to_uint8(torch.from_numpy(images).requires_grad_())
    assert np.array_equal(from_tensor, to_uint8(images))
    assert from_tensor.shape == (2, 4, 5, 3)


def test_a_sheet_lays_pictures_out_row_by_row():
    pictures = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (50, 100, 150)])
    sheet = np.asarray(contact_sheet(pictures, columns=2, scale=3))
    cell = 12 + GAP_PX
    assert sheet.shape == (2 * cell + GAP_PX, 2 * cell + GAP_PX, 3)
    corners = [sheet[y, x, 0] for y, x in ((2, 2), (2, 2 + cell), (2 + cell, 2))]
    assert corners == [50, 100, 150]
    assert sheet[-1, -1, 0] == 24
