"""Measures this machine with the real parts and tells: a table for people, one object for programs.

Decides what is measured and for how long; how is in `measure`. Progress goes to stderr.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from installation import measure
from installation.clock import Clock, SystemClock
from installation.offscreen import OffscreenSurface
from installation.page import LivePage
from installation.show import Show, parse_show
from models.image_model import ImageModel
from models.yardstick import Yardsticks, untrained, yardsticks

# In stdout's reader's place: whoever watches the live page, at the rate of a browser.
_WATCHER = "import sys, urllib.request as r\nwhile r.urlopen(sys.argv[1]).read(1 << 16): pass"


PAGE_WITHIN_S = 20.0  # it starts in half a second on an idle machine


@dataclass(frozen=True)
class Plan:
    """How long each measurement takes; the defaults stay under 100 s with a 64 px model."""

    generation_s: float = 8.0  # for each of the fast and the textbook path
    uploads: int = 200
    draws: int = 120
    plans: int = 5000
    pacing_s: float = 8.0  # alone, and again with the live page watched
    fps: float = 30.0
    size: tuple[int, int] = (512, 512)
    large_s: float = 0.0  # of the 256 px network on each path; 0: not at all
    memory_s: float = 0.0  # of a running show; 0: not at all
    memory_every_s: float = 5.0
    settling_s: float = 60.0  # before memory should be level
    page_port: int = 0


FULL = Plan(large_s=10.0, memory_s=660.0)
Result = dict[str, Any]


def run_bench(as_json: bool, full: bool, model: str) -> None:
    """Measure and print; raises ModelUnavailable or SurfaceUnavailable before it begins."""
    told = Console(stderr=True)
    result = results(model, FULL if full else Plan(), SystemClock(), say=told.print)
    if as_json:
        sys.stdout.write(json.dumps(dict(figures(result)), allow_nan=False) + "\n")
    else:
        Console().print(table(result))


def results(
    model: str,
    wanted: Plan,
    clock: Clock,
    say: Callable[[str], None],
    beside: Path | None = None,
    large: Callable[[], Yardsticks] = untrained,
) -> Result:
    """Everything measured, as nested values that JSON can hold. `say` hears what is going on."""
    began_s = clock.monotonic()
    beside = beside or Path.cwd()
    with ExitStack() as parts:
        surface = OffscreenSurface(wanted.size)
        parts.callback(surface.close)
        say(f"loading {model}")
        three = yardsticks(model, beside=beside)
        show = bench_show(model)
        result: Result = {"machine": machine(surface, three.model)}
        say("generating")
        result["model"] = generating(model, three, wanted.generation_s, clock)
        say("uploading, drawing, planning")
        result["upload"] = uploading(surface, three.model, wanted, clock)
        result["draw"] = drawing(surface, three.model, wanted, clock)
        result["plan"] = {"us": round(1000 * measure.planning(show, clock, wanted.plans).median, 2)}
        say("running a show, then the same with its live page watched")
        result["pacing"] = {
            "alone": pacing(show, surface, wanted, clock, beside),
            "watched": watched(show, surface, wanted, clock, beside),
        }
        result["memory"] = {"resident_mb": round(measure.resident_mb(), 1)}
        if wanted.large_s:
            say("generating at 256 px")
            name = "untrained 256 px, config T"
            result["model256"] = generating(name, large(), wanted.large_s, clock)
        if wanted.memory_s:
            say(f"running a show for {wanted.memory_s / 60:.0f} minutes, watching its memory")
            result["memory"] |= memory(show, surface, wanted, clock, beside)
    result["seconds"] = round(clock.monotonic() - began_s, 1)
    return result


def bench_show(model: str) -> Show:
    """The show that is run: one endless walk, as the first show has it."""
    return parse_show(
        f"title: Bench\n"
        f"pacing: {{hold: 0 s, travel: 6 s, ease: linear}}\n"
        f"scenes:\n"
        f"  - name: bench\n"
        f"    model: {json.dumps(model)}\n"
        f"    walk: {{kind: random, seed: 11, curve: spline}}\n",
        "bench",
    )


def machine(surface: OffscreenSurface, model: ImageModel) -> Result:
    """What was measured on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "load": round(os.getloadavg()[0], 2),
        "renderer": surface.ctx.info["GL_RENDERER"],
        "device": model.device,
        "precision": model.precision,
    }


def generating(name: str, three: Yardsticks, seconds: float, clock: Clock) -> Result:
    """The model's pace alone and against the textbook, and what its precision costs."""
    models = [three.model, three.textbook] if three.textbook else [three.model]
    fast, *textbook = measure.generation(models, clock, seconds)
    mean, largest = measure.difference(three.model, three.exact)
    found = {
        "name": name,
        "resolution": three.model.resolution,
        "pictures": len(fast.ms),
        "generated_fps": round(fast.hz, 2),
        "median_ms": round(fast.median, 3),
        "p99_ms": round(fast.p99, 3),
        "precision": three.model.precision,
        "precision_mean_levels": round(mean, 3),
        "precision_max_levels": largest,
        "textbook_ratio": None,
    }
    if textbook:
        found["textbook_ms"] = round(textbook[0].median, 3)
        found["textbook_ratio"] = round(textbook[0].median / fast.median, 2)
    return found


def uploading(surface: OffscreenSurface, model: ImageModel, wanted: Plan, clock: Clock) -> Result:
    """Milliseconds of each route an image can take, and which one a show takes."""
    ways = measure.routes(surface, model.device)
    found: Result = {"route": ways[0].name, "why": ways[0].why}
    for way in ways:
        times = measure.upload(surface, model, way, clock, wanted.uploads)
        found[f"{way.name}_ms"] = round(times.median, 3)
        found[f"{way.name}_p99_ms"] = round(times.p99, 3)
    return found


def drawing(surface: OffscreenSurface, model: ImageModel, wanted: Plan, clock: Clock) -> Result:
    """Milliseconds of one drawn frame at the size of the surface."""
    times = measure.drawing(surface, model.resolution, clock, wanted.draws)
    width, height = surface.size
    return {
        "size": f"{width}x{height}",
        "median_ms": round(times.median, 3),
        "p99_ms": round(times.p99, 3),
    }


def pacing(
    show: Show,
    surface: OffscreenSurface,
    wanted: Plan,
    clock: Clock,
    beside: Path,
    each_frame: Callable[[], None] | None = None,
) -> Result:
    """How evenly a running show draws."""
    found = measure.pacing(
        show,
        surface,
        clock,
        seconds=wanted.pacing_s,
        fps=wanted.fps,
        beside=beside,
        each_frame=each_frame,
    )
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(found).items()
    }
    return {"wanted_hz": wanted.fps, **rounded}


def watched(
    show: Show, surface: OffscreenSurface, wanted: Plan, clock: Clock, beside: Path
) -> Result:
    """The same while the live page is served and somebody looks at it."""
    page = LivePage(wanted.page_port, size=surface.size)
    command = [sys.executable, "-c", _WATCHER, f"{page.address}stream.mjpeg"]
    watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sent = 0

    def offer() -> None:
        nonlocal sent
        if page.wanted:
            page.offer(surface.read())
            sent += 1

    try:
        patience_s = clock.monotonic() + PAGE_WITHIN_S
        while not page.wanted and clock.monotonic() < patience_s:
            clock.sleep_until(clock.monotonic() + 0.02)
        found = pacing(show, surface, wanted, clock, beside, each_frame=offer)
    finally:
        watcher.kill()
        watcher.wait()
        page.close()
    return {**found, "frames_to_the_page": sent}


def memory(
    show: Show, surface: OffscreenSurface, wanted: Plan, clock: Clock, beside: Path
) -> Result:
    """How resident memory goes while a show runs: its slope once it has settled."""
    samples: list[tuple[float, float]] = []

    def sample() -> None:
        at_s = clock.monotonic()
        if not samples or at_s - samples[-1][0] >= wanted.memory_every_s:
            samples.append((at_s, measure.resident_mb()))

    longer = dataclasses.replace(wanted, pacing_s=wanted.memory_s)
    pacing(show, surface, longer, clock, beside, each_frame=sample)
    settled = [one for one in samples if one[0] - samples[0][0] >= wanted.settling_s]
    return {
        "minutes": round((samples[-1][0] - samples[0][0]) / 60, 1),
        "first_mb": round(samples[0][1], 1),
        "last_mb": round(samples[-1][1], 1),
        "slope_mb_per_hour": round(measure.slope_per_hour(settled), 2),
    }


def figures(result: Result, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every single figure with its name, parts joined by dots: `model.generated_fps`."""
    for name, value in result.items():
        if isinstance(value, dict):
            yield from figures(value, f"{place}{name}.")
        else:
            yield place + name, value


def table(result: Result) -> Table:
    """The result for a person: a line for each figure, a section for each part."""
    shown = Table("", "", title="Wanderer on this machine", show_header=False, title_justify="left")
    for part, value in result.items():
        for name, figure in figures({part: value}):
            shown.add_row(name, "–" if figure is None else f"{figure}")
        shown.add_section()
    return shown
