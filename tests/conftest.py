"""What every test may ask for: a hand-moved clock, a small show, a surface that is memory."""

import os
import sys
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from installation.clock import ManualClock

# Nothing above loads numpy or torch, which read this once, as they start their
# threads. Two: what the smallest machine we speak of has.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

# Waiting threads sleep: with something else on the second core, spinning ones make a test of half
# a second one of forty.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

hypothesis.settings.register_profile("wanderer", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("wanderer")

SMALL_SHOW = """\
title: Small
scenes:
  - name: first
    model: testcard
    walk: {kind: random, seed: 1}
    for: 10 s
  - name: second
    model: testcard
    walk: {kind: loop, seed: 2}
    for: 20 s
"""


def _has_gl() -> bool:
    from installation.offscreen import OffscreenSurface
    from installation.surface import SurfaceUnavailable

    try:
        OffscreenSurface((8, 8)).close()
    except SurfaceUnavailable:
        return False
    return True


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run; in CI only a missing GPU is an excuse."""
    checks = {"gl": ("no OpenGL through EGL here", _has_gl), "gpu": ("no CUDA here", _has_cuda)}
    for mark, (reason, has) in checks.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        excused = mark == "gpu" or not os.environ.get("CI")
        if marked and excused and not has():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at Sunday 2026-11-22, 12:00:00 UTC."""
    return ManualClock(now=1_795_348_800.0)


@pytest.fixture
def show_text() -> str:
    """A show of two scenes of the test card, 30 seconds long."""
    return SMALL_SHOW


@pytest.fixture
def surface() -> Iterator[object]:
    """An offscreen surface of 96x64 pixels; the test needs the mark `gl`."""
    from installation.offscreen import OffscreenSurface

    made = OffscreenSurface((96, 64))
    yield made
    made.close()


@pytest.fixture
def count_calls() -> Callable[[Callable[[], object]], int]:
    """Counts the calls a piece of work makes: its cost, without a clock that others disturb."""

    def count(work: Callable[[], object]) -> int:
        calls = 0

        def note(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        work()  # fills caches, so that both counts find them full
        sys.setprofile(note)
        try:
            work()
        finally:
            sys.setprofile(None)
        return calls

    return count
