"""Rings of OpenGL memory that models write images into, and the textures those become.

The only file that names torch and moderngl together (torch inside functions alone). Refuses to
know what an image shows, when it is due, or who is looking.

A slot goes round: free; out with the worker (`acquire`); written (`publish`); moving into a
texture (`turn`); free. The worker's thread calls no OpenGL; `turn`, `texture`, `nearest` and
`close` belong to the thread of the context.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import moderngl

from installation.cuda_buffer import load_cudart, why_apart
from installation.gl_calls import can_map
from installation.slot_memory import (
    CopiedMemory,
    CudaMemory,
    DeviceArray,
    MappedMemory,
    Shape,
    SlotMemory,
    View,
    numpy_view,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """How images travel into OpenGL, and why this way.

    mapped: the worker writes into a buffer that OpenGL owns; cuda: the same on the GPU;
    copy: the worker writes into memory of ours, which OpenGL copies.
    """

    name: Literal["mapped", "cuda", "copy"]
    why: str
    device: str = "cpu"  # where the model computes


def choose_route(ctx: moderngl.Context, device: str, cudart: Any = None) -> Route:  # noqa: ANN401
    """The best route for a model on `device` ("cpu", "cuda:0") into this context.

    `cudart` stands in for NVIDIA's runtime in tests. Never raises: there is always the copy.
    """
    if device == "cpu":
        return _host_route(ctx, "the model runs on the CPU", device)
    runtime = load_cudart() if cudart is None else cudart
    if isinstance(runtime, str):
        return _host_route(ctx, f"no way from CUDA to OpenGL: {runtime}", device)
    probe = ctx.buffer(reserve=64, dynamic=True)
    reason = why_apart(runtime, device, probe.glo)
    probe.release()
    if reason is not None:
        return _host_route(ctx, f"no way from CUDA to OpenGL: {reason}", device)
    return Route("cuda", f"{ctx.info['GL_RENDERER']} and {device} are one device", device)


def _host_route(ctx: moderngl.Context, why: str, device: str) -> Route:
    if can_map(ctx):
        return Route("mapped", why, device)
    version = f"OpenGL {ctx.version_code / 100:.1f}"
    return Route("copy", f"{why}; {version} cannot keep buffers mapped", device)


class Slot:
    """Room for one batch of images: `array` [N, 3, H, W] to write into, never to read.

    On the mapped and copy routes a write must be over when the slot is published; on the cuda
    route it must be queued on the stream that is current for the publishing thread.
    """

    def __init__(self, memory: SlotMemory) -> None:
        self.memory = memory
        self.tick = 0

    @property
    def array(self) -> Any:  # noqa: ANN401 - numpy array or torch tensor
        """Where to write the images; another's after `publish` or `abandon`."""
        return self.memory.array


class Ring:
    """Slots for a worker to fill and textures for a display to show, by tick.

    Every texture is an array of 3 * `images` layers: red, green and blue of each image in turn,
    nominal [-1, 1], its row 0 the top row. `textures` must cover the pictures being shown and
    those made ahead; where all are taken, written slots wait, and `acquire` soon gives None.
    """

    def __init__(
        self,
        ctx: moderngl.Context,
        *,
        images: int,                          # pictures in a batch: one for each channel
        height: int,                          # px
        width: int,                           # px
        dtype: str = "f2",                    # "f2" half or "f4" single precision
        slots: int = 3,                       # one being written, one written, one moving
        array: Literal["numpy", "torch"],     # what the model writes into
        route: Route,
        textures: int | None = None,          # None: slots + 4
        memory: Callable[[], SlotMemory] | None = None,  # None: what the route says
    ) -> None:  # fmt: skip
        shape = (images, 3, height, width)
        self.route = route
        self._lock = threading.Lock()  # guards the three collections of slots below
        self._free: deque[Slot] = deque()
        self._out: set[Slot] = set()
        self._written: list[Slot] = []
        self._moving: list[Slot] = []
        self._shown: dict[int, moderngl.TextureArray] = {}
        self._closed = False
        self._unused: list[moderngl.TextureArray] = []
        make = memory or (lambda: _memory(ctx, shape, dtype, array, route))
        count = slots + 4 if textures is None else textures
        assert count >= 2, "a ring needs two textures: one to show while the other is filled"
        try:
            for _ in range(slots):
                self._free.append(Slot(make()))
            for _ in range(count):
                self._unused.append(_texture(ctx, shape, dtype))
        except BaseException:
            self.close()  # half a ring is worth nothing, and would be built again and again
            raise

    # -- the worker's thread --------------------------------------------------------------------

    def acquire(self) -> Slot | None:
        """A free slot, or None when there is none or the ring is closed. Never waits."""
        with self._lock:
            if self._closed or not self._free:
                return None
            slot = self._free[0]
            slot.memory.lend()
            self._out.add(self._free.popleft())
        return slot

    def publish(self, slot: Slot, tick: int) -> None:
        """Hand over a slot whose images belong to `tick`; an earlier batch of it is replaced."""
        assert slot in self._out, "published a slot that was not acquired"
        slot.memory.mark()
        slot.tick = tick
        with self._lock:
            self._out.remove(slot)
            self._written.append(slot)

    def abandon(self, slot: Slot) -> None:
        """Give a slot back unused: its images failed."""
        with self._lock:
            assert slot in self._out, "abandoned a slot that was not acquired"
            self._out.remove(slot)
            self._free.append(slot)

    # -- the thread of the context --------------------------------------------------------------

    def turn(self, keep_from_tick: int) -> int:
        """Once a frame: move what was written into textures; how many batches were moved.

        Textures older than the newest at or before `keep_from_tick` are used again, so that the
        last good picture stays however late the next one is.
        """
        self._recover()
        self._forget(keep_from_tick)
        moved = 0
        while (slot := self._next_written()) is not None:
            if any(slot.tick < at <= keep_from_tick for at in self._shown):
                with self._lock:
                    self._free.append(slot)  # too late: a newer picture has taken its place
            elif self._move(slot):
                moved += 1
            else:
                break
        self._forget(keep_from_tick)
        self._recover()
        return moved

    def texture(self, tick: int) -> moderngl.TextureArray | None:
        """The images of `tick`, until the next `turn`; None while they are not there."""
        return self._shown.get(tick)

    def nearest(self, tick: int) -> tuple[int, moderngl.TextureArray] | None:
        """The newest images at or before `tick`, else the first after it; None without any."""
        before = [at for at in self._shown if at <= tick]
        if not self._shown:
            return None
        at = max(before) if before else min(self._shown)
        return at, self._shown[at]

    def after(self, tick: int) -> tuple[int, moderngl.TextureArray] | None:
        """The first images after `tick`; None if there are none."""
        at = min((at for at in self._shown if at > tick), default=None)
        return None if at is None else (at, self._shown[at])

    def close(self) -> None:
        """Give all memory back; arrays of this ring must not be written any more."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            idle = [*self._free, *self._written, *self._moving]
        if self._out:
            log.warning("%d slots are still being written: leaving their memory", len(self._out))
        for slot in idle:
            slot.memory.release()
        for texture in (*self._unused, *self._shown.values()):
            texture.release()
        self._unused, self._shown = [], {}

    def _recover(self) -> None:
        back = [slot for slot in self._moving if slot.memory.recovered()]
        self._moving = [slot for slot in self._moving if slot not in back]
        with self._lock:
            self._free.extend(back)

    def _forget(self, keep_from_tick: int) -> None:
        last = max((at for at in self._shown if at <= keep_from_tick), default=None)
        for at in [at for at in self._shown if last is not None and at < last]:
            self._unused.append(self._shown.pop(at))

    def _next_written(self) -> Slot | None:
        with self._lock:
            slot = min(self._written, key=lambda slot: slot.tick, default=None)
            if slot is not None:
                self._written.remove(slot)
        return slot

    def _move(self, slot: Slot) -> bool:
        texture = self._texture_for(slot.tick)
        if texture is None:
            with self._lock:
                self._written.append(slot)
            return False
        self._moving.append(slot)  # also where its way fails: the memory may still recover
        try:
            slot.memory.move(texture)
        except Exception:
            self._unused.append(texture)
            raise
        self._shown[slot.tick] = texture
        return True

    def _texture_for(self, tick: int) -> moderngl.TextureArray | None:
        """The texture of the tick's earlier batch, else an unused one, else a later tick's."""
        if tick in self._shown:
            return self._shown.pop(tick)
        if self._unused:
            return self._unused.pop()
        latest = max(self._shown)
        return self._shown.pop(latest) if latest > tick else None


def _texture(ctx: moderngl.Context, shape: Shape, dtype: str) -> moderngl.TextureArray:
    images, colours, height, width = shape
    texture = ctx.texture_array((width, height, images * colours), 1, dtype=dtype)
    texture.filter = (moderngl.NEAREST, moderngl.NEAREST)  # shaders fetch texels
    texture.repeat_x = texture.repeat_y = False
    return texture


def _memory(
    ctx: moderngl.Context, shape: Shape, dtype: str, array: str, route: Route
) -> SlotMemory:
    if route.name == "cuda":
        return CudaMemory(
            ctx, shape, dtype, load_cudart(), route.device, TorchStreams(route.device)
        )
    view: View = numpy_view if array == "numpy" else torch_view
    if route.name == "mapped":
        return MappedMemory(ctx, shape, dtype, view)
    return CopiedMemory(shape, dtype, view)


def torch_view(memory: Any, shape: Shape, dtype: str) -> Any:  # noqa: ANN401
    """A CPU tensor over a writable buffer."""
    import torch

    kinds = {"f2": torch.float16, "f4": torch.float32}
    return torch.frombuffer(memory, dtype=kinds[dtype]).view(shape)


class TorchStreams:
    """The streams and tensors of torch on one CUDA device."""

    def __init__(self, device: str) -> None:
        self._device = device

    def current(self) -> int:
        """The stream the calling thread queues work on."""
        import torch

        return int(torch.cuda.current_stream(self._device).cuda_stream)

    def view(self, pointer: int, shape: Shape, dtype: str) -> Any:  # noqa: ANN401
        """A tensor over device memory that is not torch's."""
        import torch

        return torch.as_tensor(DeviceArray(pointer, shape, dtype), device=self._device)
