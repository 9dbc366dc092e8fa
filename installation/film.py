"""Where rendered frames go: a folder of PNG files or one NumPy file. Knows no show and no GL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from installation.arguments import BadArgument
from installation.frame_writer import FrameWriter

Frame = npt.NDArray[np.uint8]


class Film(Protocol):
    """Something frames are written to, one after the other."""

    def write(self, frame: Frame) -> None:
        """Add one frame, uint8 [H, W, 3], top row first."""


class _ArrayFilm:
    def __init__(self, path: Path, count: int, size: tuple[int, int]) -> None:
        shape = (count, size[1], size[0], 3)
        self.frames = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        self._next = 0

    def write(self, frame: Frame) -> None:
        self.frames[self._next] = frame
        self._next += 1


@contextmanager
def film_to(path: Path, count: int, size: tuple[int, int]) -> Iterator[Film]:
    """Open what `path` names: FILE.npy, uint8 [count, H, W, 3], else a folder of frame-%06d.png.

    Raises BadArgument for another file ending and OSError where nothing can be written.
    """
    if path.suffix == ".npy":
        array = _ArrayFilm(path, count, size)
        yield array
        array.frames.flush()
    elif path.suffix:
        raise BadArgument(
            f"{path}: frames can't be written as {path.suffix!r}; give a folder's name for PNG "
            "files, or a name that ends in .npy for one array"
        )
    else:
        writer = FrameWriter(path)
        try:
            yield writer
        finally:
            writer.close()
