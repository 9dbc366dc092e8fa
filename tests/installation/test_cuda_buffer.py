"""The cuda route against a `cudart` that keeps the books of the real one.

Every call returns a tuple with the error first, as cuda.bindings.runtime 13.5.0 does; a call out
of order, which on hardware would tear pictures or crash, fails here.
"""
# ruff: noqa: N802, N815 - the names are NVIDIA's

import ctypes
import importlib.util
import re
from types import SimpleNamespace

import numpy as np
import pytest

from installation.cuda_buffer import CudaRefused, checked, cuda_index, why_apart
from installation.offscreen import OffscreenSurface
from installation.slot_memory import CudaMemory, DeviceArray
from installation.upload import Ring, Route, choose_route

pytestmark = pytest.mark.gl

SHAPE = (2, 3, 4, 4)
WORKER = 77  # the worker's stream
NAMES = {0: b"cudaSuccess", 35: b"cudaErrorInsufficientDriver", 999: b"cudaErrorUnknown"}


class FakeResource(SimpleNamespace):
    """A registered buffer: its OpenGL name, its memory on the "device", whether it is mapped."""

    def __int__(self):
        return self.handle


class FakeCudart:
    """Buffers shared between OpenGL and a device that is ordinary memory."""

    cudaGLDeviceList = SimpleNamespace(cudaGLDeviceListAll=1)

    def __init__(self, ctx, *, devices=(0,), failing=(), null_resources=False):
        self.ctx, self.devices, self.failing = ctx, devices, dict(failing)
        self.null_resources = null_resources
        self.calls = []
        self.seen = {}  # stream -> events that it waits for or recorded
        self.recorded = {}  # event -> the stream it was recorded in
        self.live = set()
        self.numbers = iter(range(100, 10_000))

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append(name)
            if name in self.failing:
                results = {"cudaGLGetDevices": 2}.get(name, 0)
                return (self.failing[name], *[None] * results)
            return (0, *getattr(self, "_" + name)(*arguments))

        return call

    def cudaGetErrorName(self, error):
        return 0, NAMES[int(error)]

    def _cudaSetDevice(self, index):
        return ()

    def _cudaGLGetDevices(self, most, _list):
        return len(self.devices), [*self.devices, *[0] * (most - len(self.devices))]

    def _cudaStreamCreateWithFlags(self, _flags):
        return (self._new(),)

    def _cudaEventCreateWithFlags(self, _flags):
        return (self._new(),)

    def _new(self):
        number = next(self.numbers)
        self.live.add(number)
        return number

    def _cudaEventDestroy(self, event):
        self.live.remove(event)
        return ()

    _cudaStreamDestroy = _cudaEventDestroy

    def _cudaStreamSynchronize(self, stream):
        assert stream in self.live
        return ()

    def _cudaEventRecord(self, event, stream):
        assert event in self.live
        self.recorded[event] = stream
        self.seen.setdefault(stream, []).append(("recorded", event))
        return ()

    def _cudaEventSynchronize(self, event):
        assert event in self.recorded, "waited for an event that nobody recorded"
        return ()

    def _cudaStreamWaitEvent(self, stream, event, flags):
        assert event in self.live
        assert flags == 0
        self.seen.setdefault(stream, []).append(("waits", event))
        return ()

    def _cudaGraphicsGLRegisterBuffer(self, buffer, flags):
        assert flags == 2, "the old contents are not wanted"
        if self.null_resources:
            return (0,)
        resource = FakeResource(handle=self._new(), buffer=buffer, memory=None)
        return (resource,)

    def _cudaGraphicsUnregisterResource(self, resource):
        assert resource.memory is None, "unregistered while mapped"
        self.live.remove(resource.handle)
        self.ctx.external_buffer(resource.buffer, 1).read()  # fails if deleted before
        return ()

    def _cudaGraphicsMapResources(self, count, resource, stream):
        assert count == 1
        assert resource.memory is None, "mapped twice"
        assert resource.handle in self.live
        size = 4 * int(np.prod(SHAPE))
        resource.memory = np.full(size, 0xEE, np.uint8)
        return ()

    def _cudaGraphicsResourceGetMappedPointer(self, resource):
        assert resource.memory is not None, "pointer of what is not mapped"
        return resource.memory.ctypes.data, resource.memory.nbytes

    def _cudaGraphicsUnmapResources(self, count, resource, stream):
        assert resource.memory is not None, "unmapped twice"
        waits = [event for what, event in self.seen.get(stream, []) if what == "waits"]
        assert waits, "unmapped without waiting for the worker"
        assert self.recorded.get(waits[-1]) in (WORKER, None)
        self.ctx.external_buffer(resource.buffer, resource.memory.nbytes).write(
            resource.memory.tobytes()
        )
        resource.memory = None
        return ()


class FakeStreams:
    """A torch whose device tensors are numpy arrays over the fake's memory."""

    def __init__(self, cudart):
        self.cudart = cudart

    def current(self):
        return WORKER

    def view(self, pointer, shape, dtype):
        self.cudart.calls.append("view")
        count = int(np.prod(shape))
        memory = (ctypes.c_float * count).from_address(pointer)
        return np.frombuffer(memory, f"<{dtype}").reshape(shape)


@pytest.fixture
def ctx():
    surface = OffscreenSurface((8, 8))
    yield surface.ctx
    assert surface.ctx.error == "GL_NO_ERROR"
    surface.close()


@pytest.fixture
def cudart(ctx):
    fake = FakeCudart(ctx)
    yield fake
    assert not fake.live, "events, streams or registrations were left behind"


def cuda_ring(ctx, cudart, slots=2):
    images, _, height, width = SHAPE
    return Ring(
        ctx,
        images=images,
        height=height,
        width=width,
        dtype="f4",
        slots=slots,
        array="torch",
        route=Route("cuda", "test", "cuda:0"),
        memory=lambda: CudaMemory(ctx, SHAPE, "f4", cudart, "cuda:0", FakeStreams(cudart)),
    )


def test_images_travel_in_the_order_that_cuda_demands(ctx, cudart):
    ring = cuda_ring(ctx, cudart, slots=1)
    made = np.random.default_rng(3).standard_normal(SHAPE).astype(np.float32)
    cudart.calls.append("acquire")
    slot = ring.acquire()
    slot.array[...] = made
    cudart.calls.append("publish")
    ring.publish(slot, 9)
    cudart.calls.append("turn")
    ring.turn(9)
    ctx.finish()
    cudart.calls.append("turn")
    ring.turn(9)
    assert ring.texture(9).read() == made.tobytes()
    calls = [name for name in cudart.calls if name != "cudaSetDevice"]
    shown = [name.removeprefix("cuda").removeprefix("Graphics") for name in calls]
    head, tail = shown[:9], [name for name in shown[9:] if name != "turn"]
    assert head == [
        "StreamCreateWithFlags",
        "EventCreateWithFlags",
        "EventCreateWithFlags",
        "GLRegisterBuffer",
        "MapResources",
        "ResourceGetMappedPointer",
        "EventRecord",
        "view",
        "acquire",
    ]
    assert tail == [
        "StreamWaitEvent",  # the worker, for OpenGL
        "publish",
        "EventRecord",      # the image is queued …
        "EventSynchronize", # … and made: the worker waits, nobody else
        "StreamWaitEvent",  # OpenGL, for the worker
        "UnmapResources",
        "MapResources",     # again, after the texture was written
        "ResourceGetMappedPointer",
        "EventRecord",
        "view",
    ]  # fmt: skip
    del slot
    ring.close()


def test_worker_waits_for_opengl_and_opengl_for_the_worker(ctx, cudart):
    ring = cuda_ring(ctx, cudart, slots=1)
    mapped = next(event for event, stream in cudart.recorded.items())
    slot = ring.acquire()
    assert cudart.seen[WORKER] == [("waits", mapped)]
    ring.publish(slot, 1)
    written = cudart.seen[WORKER][-1][1]
    assert written != mapped
    ring.turn(1)
    render_stream = cudart.recorded[mapped]
    assert ("waits", written) in cudart.seen[render_stream]
    ring.close()


def test_many_images_through_few_slots_arrive_whole(ctx, cudart):
    ring = cuda_ring(ctx, cudart)
    for tick in range(1, 12):
        slot = ring.acquire()
        while slot is None:
            ctx.finish()
            ring.turn(tick - 1)
            slot = ring.acquire()
        slot.array[...] = tick
        ring.publish(slot, tick)
        ring.turn(tick)
        arrived = np.frombuffer(ring.texture(tick).read(), np.float32)
        assert (arrived == tick).all()
    ring.close()


def test_abandoned_slot_stays_mapped_and_is_lent_again(ctx, cudart):
    ring = cuda_ring(ctx, cudart, slots=1)
    ring.abandon(ring.acquire())
    again = ring.acquire()
    assert cudart.calls.count("cudaGraphicsMapResources") == 1
    again.array[...] = 4.0
    ring.publish(again, 2)
    ring.turn(2)
    assert (np.frombuffer(ring.texture(2).read(), np.float32) == 4.0).all()
    ring.close()


def test_ring_unmaps_and_unregisters_before_it_deletes(ctx, cudart):
    ring = cuda_ring(ctx, cudart)
    ring.close()
    calls = cudart.calls
    assert calls.count("cudaGraphicsUnregisterResource") == 2
    last_unmap = len(calls) - calls[::-1].index("cudaGraphicsUnmapResources")
    assert "cudaGraphicsUnregisterResource" in calls[last_unmap:]


# -- falling back ----------------------------------------------------------------------------------


def test_cuda_route_is_chosen_where_both_are_one_device(ctx, cudart):
    route = choose_route(ctx, "cuda:0", cudart)
    assert (route.name, route.device) == ("cuda", "cuda:0")
    assert route.why.endswith("and cuda:0 are one device")


@pytest.mark.parametrize(
    ("changes", "device", "why"),
    [
        ({"devices": (1,)}, "cuda:0", r"OpenGL runs on CUDA device \[1\], the model on 0"),
        ({"devices": ()}, "cuda", r"OpenGL runs on CUDA device \[\], the model on 0"),
        (
            {"failing": {"cudaSetDevice": 35}},
            "cuda:0",
            r"cudaSetDevice failed with cudaErrorInsufficientDriver \(35\)",
        ),
        ({"failing": {"cudaGLGetDevices": 999}}, "cuda:0", "cudaGLGetDevices failed with"),
        (
            {"failing": {"cudaGraphicsGLRegisterBuffer": 999}},
            "cuda:0",
            r"cudaGraphicsGLRegisterBuffer failed with cudaErrorUnknown \(999\)",
        ),
        ({"null_resources": True}, "cuda:0", r"install another than 12\.9\.3 or 13\.0\.2"),
    ],
)
def test_route_falls_back_to_the_host_and_names_the_reason(ctx, changes, device, why):
    route = choose_route(ctx, device, FakeCudart(ctx, **changes))
    assert (route.name, route.device) == ("mapped", device)
    assert route.why.startswith("no way from CUDA to OpenGL: ")
    assert re.search(why, route.why)


@pytest.mark.skipif(
    importlib.util.find_spec("cuda") is not None, reason="cuda-bindings is installed"
)
def test_without_cuda_bindings_the_extra_to_install_is_named(ctx):
    assert "pip install 'wanderer[cuda]'" in choose_route(ctx, "cuda:0").why


def test_failing_call_is_named_with_its_error(ctx):
    fake = FakeCudart(ctx, failing={"cudaSetDevice": 999})
    with pytest.raises(CudaRefused, match=r"cudaSetDevice failed with cudaErrorUnknown \(999\)"):
        checked(fake, "cudaSetDevice", 0)


def test_trial_leaves_no_registration_behind(ctx, cudart):
    buffer = ctx.buffer(reserve=64)
    assert why_apart(cudart, "cuda:0", buffer.glo) is None
    assert cudart.calls[-1] == "cudaGraphicsUnregisterResource"
    buffer.release()


def test_device_names_give_their_number():
    assert [cuda_index(name) for name in ("cuda", "cuda:0", "cuda:3")] == [0, 0, 3]


def test_device_memory_is_described_as_torch_expects():
    described = DeviceArray(4096, SHAPE, "f2").__cuda_array_interface__
    assert described["typestr"] == "<f2"
    assert described["shape"] == SHAPE
    assert described["data"] == (4096, False)
    assert described["version"] == 3
