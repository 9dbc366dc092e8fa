"""One OpenGL buffer that CUDA may write, by NVIDIA's runtime calls in their required order.

Names neither torch nor moderngl: buffers come as OpenGL names, streams and pointers as integers.
`cudart` is the module `cuda.bindings.runtime` or a fake with the same calls: every one returns a
tuple with the error first (CUDA Runtime API, sections "OpenGL Interoperability" and "Graphics
Interoperability").
"""

from types import ModuleType
from typing import Any

_WRITE_DISCARD = 2  # cudaGraphicsRegisterFlagsWriteDiscard: nothing to keep from before
_NON_BLOCKING = 1  # cudaStreamNonBlocking: independent of the legacy default stream
_NO_TIMING = 2  # cudaEventDisableTiming: the cheaper kind of event
_MOST_DEVICES = 32


class CudaRefused(RuntimeError):
    """A CUDA call failed; the message names the call, its error and what to do."""


def load_cudart() -> ModuleType | str:
    """NVIDIA's runtime calls, or a sentence on why there are none."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        return "cuda-bindings is not installed (pip install 'wanderer[cuda]')"
    return runtime  # type: ignore[no-any-return]


def checked(cudart: Any, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - CUDA's own values
    """Call `cudart.name(*arguments)`; the one result, a tuple of several, or None.

    Raises CudaRefused.
    """
    error, *results = getattr(cudart, name)(*arguments)
    if int(error) != 0:
        text = cudart.cudaGetErrorName(error)[1]
        text = text.decode() if isinstance(text, bytes) else str(text)
        raise CudaRefused(f"{name} failed with {text} ({int(error)}); see `wanderer doctor`")
    return results[0] if len(results) == 1 else tuple(results) or None


def cuda_index(device: str) -> int:
    """The number in "cuda:1"; 0 for "cuda"."""
    _, _, number = device.partition(":")
    return int(number or 0)


def why_apart(cudart: Any, device: str, buffer: int) -> str | None:  # noqa: ANN401
    """Why CUDA's `device` cannot write into this context's buffers; None when it can.

    Registers and unregisters `buffer` as a trial. The context must be current on this thread.
    """
    index = cuda_index(device)
    try:
        checked(cudart, "cudaSetDevice", index)
        every = cudart.cudaGLDeviceList.cudaGLDeviceListAll
        count, numbers = checked(cudart, "cudaGLGetDevices", _MOST_DEVICES, every)
        mine = [int(number) for number in numbers[:count]]
        if index not in mine:
            return f"OpenGL runs on CUDA device {mine}, the model on {index}"
        checked(cudart, "cudaGraphicsUnregisterResource", _registered(cudart, buffer))
    except RuntimeError as error:  # CudaRefused, or NVIDIA's own where its libraries are missing
        return str(error)
    return None


def _registered(cudart: Any, buffer: int) -> Any:  # noqa: ANN401
    resource = checked(cudart, "cudaGraphicsGLRegisterBuffer", buffer, _WRITE_DISCARD)
    if not int(resource):  # cuda-python issues 1122, 1123: 12.9.3 and 13.0.2 do this
        raise CudaRefused(
            "cudaGraphicsGLRegisterBuffer returned no resource; "
            "this release of cuda-bindings is broken: install another than 12.9.3 or 13.0.2"
        )
    return resource


class CudaBuffer:
    """An OpenGL buffer in CUDA's hands from `map()` to `unmap()`.

    The display's thread makes, maps, unmaps and releases; the worker's thread lends and marks.
    No call waits on the host: both streams wait for each other's events on the device.
    """

    def __init__(self, cudart: Any, device: str, buffer: int) -> None:  # noqa: ANN401
        self._cudart = cudart
        self._index = cuda_index(device)
        self._call("cudaSetDevice", self._index)
        self._stream = self._call("cudaStreamCreateWithFlags", _NON_BLOCKING)
        self._mapped = self._call("cudaEventCreateWithFlags", _NO_TIMING)
        self._written = self._call("cudaEventCreateWithFlags", _NO_TIMING)
        self._resource = _registered(cudart, buffer)
        self.is_mapped = False

    def _call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        return checked(self._cudart, name, *arguments)

    def map(self) -> int:
        """Take the buffer from OpenGL; its device address, which may differ every time."""
        self._call("cudaSetDevice", self._index)
        self._call("cudaGraphicsMapResources", 1, self._resource, self._stream)
        pointer, _ = self._call("cudaGraphicsResourceGetMappedPointer", self._resource)
        self._call("cudaEventRecord", self._mapped, self._stream)
        self.is_mapped = True
        return int(pointer)

    def lend(self, worker_stream: int) -> None:
        """Let the worker's stream write after OpenGL is done with the buffer."""
        self._call("cudaStreamWaitEvent", worker_stream, self._mapped, 0)

    def mark_written(self, worker_stream: int) -> None:
        """Note the place in the worker's stream where the image is complete, and wait for it.

        Only the worker waits. If it went on, it would measure launches in place of images and
        queue several, and OpenGL would wait for them all: a slow model would slow the display.
        """
        self._call("cudaEventRecord", self._written, worker_stream)
        self._call("cudaEventSynchronize", self._written)

    def unmap(self) -> None:
        """Hand the buffer back to OpenGL once the image is complete."""
        self._call("cudaSetDevice", self._index)
        self._call("cudaStreamWaitEvent", self._stream, self._written, 0)
        self._call("cudaGraphicsUnmapResources", 1, self._resource, self._stream)
        self.is_mapped = False

    def release(self) -> None:
        """Unregister; the OpenGL buffer may be deleted only after this."""
        self._call("cudaSetDevice", self._index)
        if self.is_mapped:
            self.unmap()
        self._call("cudaStreamSynchronize", self._stream)
        self._call("cudaGraphicsUnregisterResource", self._resource)
        for event in (self._mapped, self._written):
            self._call("cudaEventDestroy", event)
        self._call("cudaStreamDestroy", self._stream)
