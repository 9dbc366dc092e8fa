import numpy as np
import pytest
from PIL import Image

from installation.arguments import BadArgument
from installation.film import MOST_ON_SHEET, film_to

FRAMES = [np.full((6, 10, 3), 20 * k, np.uint8) for k in range(10)]


def written(path, frames=FRAMES):
    with film_to(path, len(frames), (10, 6)) as film:
        for frame in frames:
            film.write(frame)
    return path


def test_an_array_holds_every_frame_in_order(tmp_path):
    assert np.array_equal(np.load(written(tmp_path / "film.npy")), np.stack(FRAMES))


def test_a_folder_holds_a_numbered_picture_for_every_frame(tmp_path):
    files = sorted(written(tmp_path / "film").iterdir())
    assert [file.name for file in files] == [f"frame-{k:06d}.png" for k in range(10)]


def test_a_sheet_shows_all_frames_in_rows_of_eight(tmp_path):
    with Image.open(written(tmp_path / "film.png")) as sheet:
        assert sheet.width >= 8 * 10
        assert 2 * 6 <= sheet.height < 4 * 6


def test_a_sheet_of_too_many_frames_is_refused_before_any_is_made(tmp_path):
    with (
        pytest.raises(
            BadArgument, match=r"too many for one sheet, at most 256; give a lower --fps"
        ),
        film_to(tmp_path / "film.png", MOST_ON_SHEET + 1, (10, 6)),
    ):
        pass


def test_another_kind_of_file_is_refused_with_what_can_be_had(tmp_path):
    with (
        pytest.raises(BadArgument, match=r"can't be written as '\.mov'; give a folder's name"),
        film_to(tmp_path / "film.mov", 1, (10, 6)),
    ):
        pass
