"""Where rendered frames go: PNG files, one contact sheet or one array. Knows no show, no GL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from installation.arguments import BadArgument
from installation.frame_writer import FrameWriter
from models.sheet import contact_sheet

COLUMNS = 8
MOST_ON_SHEET = 256

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


class _SheetFilm:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)


@contextmanager
def film_to(path: Path, count: int, size: tuple[int, int]) -> Iterator[Film]:
    """Open what `path` names for `count` frames of `size` = (width, height).

    FILE.npy: uint8 [count, H, W, 3]. FILE.png: all frames on one sheet, in rows of at most eight.
    A name without an ending: a folder of frame-%06d.png. Raises BadArgument for another ending or
    a sheet of too many frames, OSError where nothing can be written.
    """
    if path.suffix == ".npy":
        array = _ArrayFilm(path, count, size)
        yield array
        array.frames.flush()
    elif path.suffix == ".png":
        if count > MOST_ON_SHEET:
            raise BadArgument(
                f"{path}: {count} frames are too many for one sheet, at most {MOST_ON_SHEET}; "
                "give a lower --fps, or a folder's name"
            )
        sheet = _SheetFilm()
        yield sheet
        contact_sheet(np.stack(sheet.frames), min(count, COLUMNS)).save(path)
    elif path.suffix:
        raise BadArgument(
            f"{path}: frames can't be written as {path.suffix!r}; give a folder's name for PNG "
            "files, or a name that ends in .png for one sheet or in .npy for one array"
        )
    else:
        writer = FrameWriter(path)
        try:
            yield writer
        finally:
            writer.close()
