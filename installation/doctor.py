"""What this machine can do for a show, line by line, and what to do about what it can't.

Collects values; `render` alone prints. Opens no window and leaves nothing behind. Each line is
collected on its own: one that fails says so and does not hide the next.
"""

import datetime
import importlib.metadata
import os
import platform
import shutil
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from installation.clock import Clock, SystemClock
from installation.memory import bytes_free
from installation.offscreen import OffscreenSurface
from installation.surface import SurfaceUnavailable
from installation.upload import choose_route
from models.image_model import ImageModel
from models.registry import (
    ModelUnavailable,
    describe_model,
    load_model,
    model_home,
    search_folders,
)

BUNDLED_MODEL = "figures-64"
PACKAGES = ("torch", "numpy", "moderngl", "pyglet", "pydantic", "fastapi", "safetensors")
BUILT_IN = 2026  # no clock is right that says an earlier year
MEMORY_WANTED = 1 << 30
DISK_WANTED = 200 << 20
GL_REMEDY = "install the OpenGL libraries: apt-get install libegl1 libgl1 libgl1-mesa-dri"
# What makes a CPU quick here, best first (Linux's names).
CPU_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")

Level = Literal["ok", "warn", "fail"]
_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


@dataclass(frozen=True)
class Line:
    """One finding. "warn": a show runs, but look; "fail": no show can run. `remedy` unless ok."""

    about: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, in the order they are read."""

    lines: tuple[Line, ...]

    @property
    def can_run(self) -> bool:
        """Whether nothing stands in the way of a show."""
        return all(line.level != "fail" for line in self.lines)


def doctor_report(model: str = BUNDLED_MODEL, clock: Clock | None = None) -> Report:
    """Look at everything; takes a few seconds, most of them to load `model`."""
    surface = _surface_or_line()
    loaded = _model_or_line(model)
    parts: list[Callable[[], Iterable[Line]]] = [
        versions,
        lambda: cpu(_cpu_flags(), os.cpu_count() or 1, bytes_free()),
        lambda: [surface] if isinstance(surface, Line) else opengl(surface.ctx.info),
        lambda: displays(os.environ),
        lambda: [loaded] if isinstance(loaded, Line) else model_lines(model, loaded),
        lambda: _route_lines(surface, loaded),
        other_models,
        lambda: folders(os.environ),
        lambda: clock_lines(clock or SystemClock()),
    ]
    lines = tuple(line for part in parts for line in _guarded(part))
    if isinstance(surface, OffscreenSurface):
        surface.close()
    return Report(lines)


def render(report: Report, console: Console | None = None) -> None:
    """Print the report: a mark, what it is about, what was found, what to do."""
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for line in report.lines:
        mark, style = _MARKS[line.level]
        found = Text(line.found)
        if line.remedy:
            found.append(f"\n→ {line.remedy}", style=style)
        table.add_row(Text(mark, style=style), Text(line.about, style="bold"), found)
    out = console or Console()
    out.print(table)
    out.print()
    if report.can_run:
        out.print(Text("A show can run on this machine.", style="green"))
    else:
        out.print(Text("No show can run yet: see the lines marked ✗.", style="bold red"))


def versions(wanted: Iterable[str] = PACKAGES) -> Iterator[Line]:
    """Wanderer's Python and its packages."""
    yield Line("Python", "ok", f"{platform.python_version()} on {platform.platform()}")
    found, missing = [], []
    for name in wanted:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Line("packages", "ok", ", ".join(found))
    if missing:
        remedy = "run ./wanderer again, which installs what is missing"
        yield Line("packages", "fail", f"not installed: {', '.join(missing)}", remedy)


def cpu(flags: frozenset[str], cores: int, free: int) -> Iterator[Line]:
    """What the processor offers to a model without a GPU, and the memory that is free (bytes)."""
    best = next((flag for flag in CPU_FLAGS if flag in flags), None)
    kind = f"{cores} cores, {best or 'none of ' + ', '.join(CPU_FLAGS)}"
    if best or not flags:
        yield Line("processor", "ok", kind if flags else f"{cores} cores, {platform.machine()}")
    else:
        remedy = "expect few images a second without a GPU; a 64 px model still works"
        yield Line("processor", "warn", kind, remedy)
    gib = f"{free / (1 << 30):.1f} GiB free"
    if free >= MEMORY_WANTED:
        yield Line("memory", "ok", gib)
    else:
        yield Line("memory", "warn", gib, "end other programs; a show with one small model wants 1")


def opengl(info: Mapping[str, object]) -> Iterator[Line]:
    """Who draws; `info` is moderngl's of a context."""
    renderer = f"{info['GL_RENDERER']}, OpenGL {info['GL_VERSION']}"
    if any(name in str(info["GL_RENDERER"]).lower() for name in ("llvmpipe", "softpipe")):
        remedy = "drawn by the processor: fine up to about 1024 pixels; for walls, a GPU's driver"
        yield Line("OpenGL", "warn", renderer, remedy)
    else:
        yield Line("OpenGL", "ok", renderer)


def displays(environment: Mapping[str, str]) -> Iterator[Line]:
    """The monitors that X knows, or that there are none."""
    if not environment.get("DISPLAY"):
        yield Line("display", "ok", "none (DISPLAY is not set): a show runs with a live page")
        return
    from installation.window import screens

    try:
        found = [
            f"{screen.name} {screen.width}x{screen.height}{' (primary)' * screen.primary}"
            for screen in screens()
        ]
    except SurfaceUnavailable as error:
        yield Line("display", "warn", str(error), "or run with --headless")
        return
    yield Line("display", "ok", f"{environment['DISPLAY']}: {', '.join(found)}")


def model_lines(name: str, model: ImageModel) -> Iterator[Line]:
    """What a loaded model is and where it computes."""
    card = model.card
    size = f"{card.kind}, {model.resolution} px"
    yield Line("model", "ok", f"{name}: {size}, weights as its card says")
    yield Line("computing", "ok", f"on {model.device} in {model.precision}")


def _route_lines(surface: OffscreenSurface | Line, model: ImageModel | Line) -> Iterator[Line]:
    if isinstance(surface, Line):
        return
    device = "cpu" if isinstance(model, Line) else model.device
    surface.begin()
    route = choose_route(surface.ctx, device)
    yield Line("upload", "ok", f"{route.name}: {route.why}")
    if device == "cpu":
        yield Line("CUDA", "ok", "not used: no CUDA device for torch, or the model is not there")
    elif route.name == "cuda":
        yield Line("CUDA", "ok", f"{device} is also the device that draws")
    else:
        yield Line("CUDA", "warn", f"{device}, but pictures go through the host", route.why)


def other_models() -> Iterator[Line]:
    """Every model that a show can name here, and those whose cards are not in order."""
    names = {
        path.name.removesuffix(".card.yaml")
        for folder in search_folders()
        for path in folder.glob("*.card.yaml")
    }
    good, bad = ["testcard"], {}
    for name in sorted(names):
        try:
            describe_model(name)
            good.append(name)
        except ModelUnavailable as error:
            bad[name] = str(error)
    yield Line("models", "ok", ", ".join(good))
    for name, problem in bad.items():
        yield Line("models", "warn", f"{name} can't be used", problem)


def folders(environment: Mapping[str, str]) -> Iterator[Line]:
    """Whether the folders for models and for what a show remembers can be written."""
    state = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    for about, folder in (("models go to", model_home()), ("state goes to", state / "wanderer")):
        standing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(standing).free
        if not os.access(standing, os.W_OK | os.X_OK):
            remedy = f"make {standing} writable for this user, or set XDG_DATA_HOME, XDG_STATE_HOME"
            yield Line(about, "warn", f"{folder} can't be written", remedy)
        elif free < DISK_WANTED:
            yield Line(about, "warn", f"{folder}: {free >> 20} MiB free", "make room on that disk")
        else:
            yield Line(about, "ok", f"{folder}, {free / (1 << 30):.0f} GiB free")


def clock_lines(clock: Clock) -> Iterator[Line]:
    """Whether the clocks can be believed, and whether time zones are known."""
    now = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC)
    if now.year < BUILT_IN:
        remedy = "set the time (timedatectl set-ntp true), or opening hours can't be kept"
        yield Line("clock", "fail", f"it says {now:%Y-%m-%d %H:%M} UTC", remedy)
    else:
        yield Line("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")
    began, now_began = clock.monotonic(), clock.now()
    clock.sleep_until(began + 0.02)
    passed, now_passed = clock.monotonic() - began, clock.now() - now_began
    if passed < 0.02 or abs(now_passed - passed) > 0.005:
        found = f"{passed * 1e3:.1f} ms by one clock were {now_passed * 1e3:.1f} by the other"
        yield Line("clock", "warn", found, "a virtual machine's clock? choose another clock source")
    yield zones()


def zones(name: str = "Europe/Berlin") -> Line:
    """Whether the time zones' data is there, by a date whose offset is history."""
    try:
        zone = zoneinfo.ZoneInfo(name)
        winter = datetime.datetime(2020, 1, 1, tzinfo=zone).utcoffset()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return Line("time zones", "fail", f"{name} is unknown", "pip install tzdata")
    if winter != datetime.timedelta(hours=1):
        return Line(
            "time zones", "fail", f"{name} is {winter} ahead in winter", "pip install tzdata"
        )
    return Line("time zones", "ok", f"known ({name} is an hour ahead in winter)")


def cpu_flags_of(cpuinfo: str) -> frozenset[str]:
    """The capability flags in the text of /proc/cpuinfo; empty where it names none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def _cpu_flags() -> frozenset[str]:
    path = Path("/proc/cpuinfo")
    return cpu_flags_of(path.read_text()) if path.exists() else frozenset()


def _surface_or_line() -> OffscreenSurface | Line:
    try:
        return OffscreenSurface((64, 64))
    except SurfaceUnavailable as error:
        return Line("OpenGL", "fail", str(error), GL_REMEDY)


def _model_or_line(name: str) -> ImageModel | Line:
    try:
        return load_model(name)
    except ModelUnavailable as error:
        remedy = "restore models/weights/ from the project, or import a model"
        return Line("model", "fail", str(error), remedy)


def _guarded(part: Callable[[], Iterable[Line]]) -> Iterator[Line]:
    try:
        yield from part()
    except Exception as error:  # the point of a doctor: report what no one foresaw
        about = getattr(part, "__name__", "examination").replace("<lambda>", "examination")
        found = f"could not be finished: {type(error).__name__}: {error}"
        yield Line(about, "fail", found, "please report this as a fault of Wanderer")
