"""One frame in memory that two processes share, handed over on request so that it never tears.

Knows no network, no clock and no GPU. The layout is a header of two counters and the pixels:
the reader raises `asked`; the writer, seeing it differ from `answered`, writes the pixels and then
sets `answered` to it. The writer never touches the pixels while no request is open, and the reader
never looks at them while one is, so neither needs a lock and neither ever waits for the other.
"""

import mmap
import os
import tempfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_HEADER = 128  # two counters, each on a cache line of its own
_ASKED, _ANSWERED = 0, 64
# All pages at once, where the system can: a first frame that faults them in costs milliseconds.
_FLAGS = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


@dataclass(frozen=True)
class Shape:
    """Width and height in pixels; three bytes a pixel, top row first."""

    width: int
    height: int

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return 3 * self.width * self.height


def new_memory(shape: Shape) -> int:
    """A descriptor of fresh shared memory, which the kernel frees when its last user ends."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wanderer-frame", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _HEADER + shape.nbytes)
    return descriptor


class SharedFrame:
    """One end of the memory; the writer calls `wanted` and `write`, the reader the rest."""

    def __init__(self, descriptor: int, shape: Shape) -> None:
        """Map the memory; the descriptor stays the caller's."""
        self.shape = shape
        self._memory = mmap.mmap(descriptor, _HEADER + shape.nbytes, flags=_FLAGS)
        self._counters = np.frombuffer(self._memory, np.uint64, _HEADER // 8)
        self._pixels = np.frombuffer(self._memory, np.uint8, shape.nbytes, _HEADER)

    def wanted(self) -> bool:
        """Whether a request is open."""
        return bool(self._counters[_ASKED // 8] != self._counters[_ANSWERED // 8])

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Answer the open request with a frame, uint8 [H, W, 3]."""
        asked = self._counters[_ASKED // 8]
        np.copyto(self._pixels.reshape(frame.shape), frame)
        self._counters[_ANSWERED // 8] = asked

    def ask(self) -> None:
        """Open a request, unless one is open."""
        if not self.wanted():
            self._counters[_ASKED // 8] += np.uint64(1)

    def pixels(self) -> bytes:
        """A copy of the frame last written; only while no request is open."""
        return self._pixels.tobytes()

    def close(self) -> None:
        """Unmap the memory."""
        del self._counters, self._pixels
        self._memory.close()
