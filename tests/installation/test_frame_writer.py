import numpy as np
import pytest
from PIL import Image

from installation.frame_writer import FrameWriter


def test_every_frame_is_written_in_order_under_its_number(tmp_path):
    writer = FrameWriter(tmp_path / "new" / "folder")
    frames = [np.full((4, 6, 3), k, np.uint8) for k in range(70)]
    for frame in frames:
        writer.write(frame)
    writer.close()
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [f.name for f in files] == [f"frame-{k:06d}.png" for k in range(70)]
    for frame, file in zip(frames, files, strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), frame)


def test_a_disk_that_fails_is_told_with_the_folder_and_nobody_waits(tmp_path):
    writer = FrameWriter(tmp_path / "frames")
    (tmp_path / "frames" / "frame-000000.png").mkdir()
    with pytest.raises(OSError, match=r"frames: frames can't be written: .*Is a directory"):
        for _ in range(200):
            writer.write(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(OSError, match="frames can't be written"):
        writer.close()
