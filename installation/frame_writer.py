"""Writes displayed frames as numbered pictures; knows nothing of shows, GL or models."""

import queue
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

WAITING = 30  # frames held while the disk is slow: a second at 30 a second, 24 MB at 512 x 512


class FrameWriter:
    """Writes every frame given to `write` into `folder` as frame-%06d.png, on its own thread.

    PNG at compression level 1: 6 ms for 512 x 512 where level 6 takes 25 ms, for 10 % more bytes.
    A full queue makes `write` wait, since every frame was asked for. A disk that fails raises
    OSError from the next `write` or from `close`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._count = 0
        self._error: OSError | None = None
        self._waiting: queue.Queue[npt.NDArray[np.uint8] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Queue one frame, uint8 [H, W, 3], top row first; it must not change afterwards."""
        self._complain()
        self._waiting.put(frame)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._waiting.put(None)
        self._thread.join()
        self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            raise OSError(f"{self._folder}: frames can't be written: {self._error}")

    def _run(self) -> None:
        while (frame := self._waiting.get()) is not None:
            if self._error is not None:
                continue  # keep emptying the queue, so that nobody waits for a dead disk
            try:
                path = self._folder / f"frame-{self._count:06d}.png"
                Image.fromarray(frame).save(path, compress_level=1)
                self._count += 1
            except OSError as error:
                self._error = error
