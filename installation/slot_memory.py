"""The memory behind one slot, of three kinds: copied, mapped, CUDA's.

Names moderngl but not torch: arrays are made by a `view` that is handed in. Refuses to know which
slot comes next. The thread of the context makes, moves, recovers and releases; the worker's
thread lends and marks, and calls no OpenGL.
"""

import logging
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import moderngl
import numpy as np

from installation.cuda_buffer import CudaBuffer
from installation.gl_calls import Fence, MappedBuffer

log = logging.getLogger(__name__)

Shape = tuple[int, int, int, int]
View = Callable[[Any, Shape, str], Any]  # (writable buffer, shape, dtype) -> array over it
NUMPY_DTYPES = {"f2": np.float16, "f4": np.float32}


def size_in_bytes(shape: Shape, dtype: str) -> int:
    """How much room [N, 3, H, W] of "f2" or "f4" takes."""
    return int(np.prod(shape)) * np.dtype(NUMPY_DTYPES[dtype]).itemsize


def numpy_view(memory: Any, shape: Shape, dtype: str) -> Any:  # noqa: ANN401
    """A numpy array over a writable buffer."""
    return np.frombuffer(memory, NUMPY_DTYPES[dtype]).reshape(shape)


class SlotMemory(Protocol):
    """The memory behind one slot; only `lend` and `mark` run on the worker's thread."""

    array: Any

    def lend(self) -> None:
        """The worker is about to write."""

    def mark(self) -> None:
        """The worker has written (or queued) everything."""

    def move(self, texture: moderngl.TextureArray) -> None:
        """Start the image's way into the texture."""

    def recovered(self) -> bool:
        """Whether the memory may be written again; never waits."""

    def release(self) -> None:
        """Give the memory back."""


class CopiedMemory:
    """Ordinary memory of ours; OpenGL copies from it before `move` returns."""

    def __init__(self, shape: Shape, dtype: str, view: View) -> None:
        self._bytes = bytearray(size_in_bytes(shape, dtype))
        self.array: Any = view(self._bytes, shape, dtype)

    def lend(self) -> None:
        """Nothing to do: the memory is ours."""

    def mark(self) -> None:
        """Nothing to do: a write is over when it returns."""

    def move(self, texture: moderngl.TextureArray) -> None:
        """Copy the image."""
        texture.write(self._bytes)

    def recovered(self) -> bool:
        """At once: nobody reads it any more."""
        return True

    def release(self) -> None:
        """Forget the memory."""
        self.array = None


class MappedMemory:
    """A buffer of OpenGL's, written in place. Never read `array`: write it with a last `out=`."""

    def __init__(self, ctx: moderngl.Context, shape: Shape, dtype: str, view: View) -> None:
        self._ctx = ctx
        self._mapped = MappedBuffer(ctx, size_in_bytes(shape, dtype))
        self._fence: Fence | None = None
        self.array: Any = view(self._mapped.memory, shape, dtype)

    def lend(self) -> None:
        """Nothing to do: the fence has passed."""

    def mark(self) -> None:
        """Nothing to do: the mapping is coherent."""

    def move(self, texture: moderngl.TextureArray) -> None:
        """Let OpenGL fetch the image from the buffer."""
        texture.write(self._mapped.buffer)
        self._fence = Fence(self._ctx)

    def recovered(self) -> bool:
        """Once OpenGL has fetched the image."""
        return self._fence is None or self._fence.passed()

    def release(self) -> None:
        """Unmap, unless somebody still holds a view of it: that would crash the process."""
        if self._fence is not None:
            self._fence.release()
        memory = weakref.ref(self._mapped.memory)
        self.array = None
        del self._mapped.memory
        if memory() is None:
            self._mapped.release()
        else:
            log.warning("an image's memory is still in use elsewhere: leaving it mapped")


class DeviceArray:
    """Device memory as numba, cupy and torch describe it (CUDA Array Interface, version 3)."""

    def __init__(self, pointer: int, shape: Shape, dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": f"<{dtype}",
            "data": (pointer, False),
            "strides": None,
            "version": 3,
        }


class CudaStreams(Protocol):
    """What the cuda route needs of torch."""

    def current(self) -> int:
        """The stream the calling thread queues work on."""

    def view(self, pointer: int, shape: Shape, dtype: str) -> Any:  # noqa: ANN401
        """A tensor over device memory that is not torch's."""


class CudaMemory:
    """A buffer of OpenGL's on the GPU; the worker's stream writes it in place."""

    def __init__(
        self,
        ctx: moderngl.Context,
        shape: Shape,
        dtype: str,
        cudart: Any,  # noqa: ANN401 - module or fake
        device: str,
        streams: CudaStreams,
    ) -> None:
        self._ctx, self._shape, self._dtype = ctx, shape, dtype
        self._streams = streams
        self._buffer = ctx.buffer(reserve=size_in_bytes(shape, dtype), dynamic=True)
        self._cuda = CudaBuffer(cudart, device, self._buffer.glo)
        self._fence: Fence | None = None
        self.array: Any = None
        self._map()

    def _map(self) -> None:
        self.array = self._streams.view(self._cuda.map(), self._shape, self._dtype)

    def lend(self) -> None:
        """Order the worker's stream behind the mapping."""
        self._cuda.lend(self._streams.current())

    def mark(self) -> None:
        """Record where in the worker's stream the image is complete."""
        self._cuda.mark_written(self._streams.current())

    def move(self, texture: moderngl.TextureArray) -> None:
        """Unmap behind the worker's mark, and let OpenGL fetch the image."""
        self._cuda.unmap()
        self.array = None
        texture.write(self._buffer)
        self._fence = Fence(self._ctx)

    def recovered(self) -> bool:
        """Once OpenGL has fetched the image and CUDA has the buffer again."""
        if self._fence is not None and not self._fence.passed():
            return False
        if not self._cuda.is_mapped:
            self._map()
        return True

    def release(self) -> None:
        """Unregister, then delete."""
        if self._fence is not None:
            self._fence.release()
        self.array = None
        self._cuda.release()
        self._buffer.release()
