"""The command line: words in, exit code out; every command's work is done elsewhere.

Heavy libraries are imported by the command that needs them, so that `check` answers at once.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from installation.arguments import BadArgument, moment, size_px
from installation.show import InvalidShow, Show, load_show

FIRST_LIGHT = Path(__file__).parent.parent / "shows" / "first_light.yaml"

app = typer.Typer(
    help="Keeps a generated picture alive on gallery walls.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
log = logging.getLogger("wanderer")

ShowFile = Annotated[Path, typer.Argument(metavar="SHOW", help="The show's YAML file.")]
SizeOption = Annotated[str, typer.Option("--size", metavar="WxH", help="Size in pixels.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
TIME = "2026-12-24T18:00, in the show's time zone, or @SECONDS; default now."
AtOption = Annotated[str | None, typer.Option("--at", metavar="TIME", help=TIME)]
FromOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help=TIME)]


@app.command()
def run(
    show_file: ShowFile = FIRST_LIGHT,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Window or picture size; default full screen.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="End by itself after this.")] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Write every displayed frame here (implies --headless).")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No window, even if one could be.")
    ] = False,
    fps: Annotated[
        float | None,
        typer.Option(min=1, max=240, help="Frames a second; default the display's, headless 30."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The live page's port.")] = 8600,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Run a show: in a window where there is a display, else offscreen with a live page."""
    from installation.app import RunOptions, run_show

    options = RunOptions(
        size=size_px(size) if size else None,
        seconds=seconds,
        frames=frames,
        headless=headless or frames is not None or not os.environ.get("DISPLAY"),
        fps=fps,
        port=port,
        device=device,
        precision=precision,
    )
    show = load_show(show_file)
    with _stopping() as stop:
        run_show(show, show_file.parent, options, stop.is_set, say=_say)


@app.command()
def check(
    shows: Annotated[list[Path], typer.Argument(metavar="SHOW...", help="Show files.")],
) -> None:
    """Read show files as `run` would, and tell every problem."""
    from installation.model_shelf import require_models
    from models.registry import ModelUnavailable

    good = True
    for path in shows:
        try:
            show = load_show(path)
            require_models(show, path.parent)
        except (InvalidShow, ModelUnavailable) as problem:
            good = False
            _say(str(problem))
            continue
        _tell(f"{path}: {_summary(show)}")
    if not good:
        raise typer.Exit(2)


@app.command()
def still(
    show_file: ShowFile,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png")],
    at: AtOption = None,
    size: SizeOption = "1024x1024",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Write the picture a show has at one time as a PNG."""
    from PIL import Image

    from installation.app import RenderOptions, rendered

    show = load_show(show_file)
    options = RenderOptions(moment(at, show.timezone), 1, 1.0, size_px(size), device, precision)
    for frame in rendered(show, show_file.parent, options):
        Image.fromarray(frame).save(output)


@app.command()
def render(
    show_file: ShowFile,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR|FILE")],
    seconds: Annotated[float, typer.Option(min=0, max=86400)],
    start: FromOption = None,
    fps: Annotated[float, typer.Option(min=0.1, max=240)] = 30.0,
    size: SizeOption = "512x512",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Write a show's frames: PNG files in a folder, one sheet (.png) or one array (.npy)."""
    from installation.app import RenderOptions, rendered
    from installation.film import film_to

    show = load_show(show_file)
    count = max(1, round(seconds * fps))
    begins = moment(start, show.timezone)
    options = RenderOptions(begins, count, fps, size_px(size), device, precision)
    with film_to(output, count, options.size) as film:
        for frame in rendered(show, show_file.parent, options):
            film.write(frame)


@app.command("import-model")
def import_model(
    snapshot: Annotated[Path, typer.Argument(metavar="FILE.pkl")],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: your models.")] = None,
) -> None:
    """Turn an official StyleGAN3 or StyleGAN2-ADA snapshot into a model a show can name."""
    from models.snapshot_import import import_snapshot

    _tell(f"wrote {import_snapshot(snapshot, to, report=_say)}")


@app.command()
def doctor() -> None:
    """Say what this machine can do for a show, and what is missing."""
    from installation.doctor import doctor_report, render

    report = doctor_report()
    render(report)
    raise typer.Exit(0 if report.can_run else 1)


@app.command()
def bench(
    json: Annotated[
        bool, typer.Option("--json", help="Exactly one JSON object on stdout.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Also 256 px, and memory over 10 minutes.")
    ] = False,
    model: Annotated[str, typer.Option(help="The model to measure.")] = "figures-64",
) -> None:
    """Measure generation, upload, drawing, planning, pacing and memory on this machine."""
    from installation.bench import run_bench

    run_bench(as_json=json, full=full, model=model)


def _summary(show: Show) -> str:
    scenes = ", ".join(f"{scene.name} ({scene.model})" for scene in show.scenes)
    return f"good. {show.title!r}: {scenes}"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def handle(number: int, _frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack.callback(signal.signal, number, signal.signal(number, handle))
        yield stop


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems a person can mend are told in words, without a traceback."""
    from installation.model_shelf import NoPicture, NotEnoughMemory
    from installation.page import PageUnavailable
    from installation.surface import SurfaceUnavailable
    from models.pickle_machine import SnapshotRefused
    from models.registry import ModelUnavailable

    # Before torch is loaded, which reads it once: its threads spin at a barrier for 30 µs, then
    # sleep. Spinning for ever made a picture of 14 ms one of 500 with another program on a core;
    # sleeping at once makes it 21 ms alone.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    expected = (
        InvalidShow,
        BadArgument,
        ModelUnavailable,
        NoPicture,
        NotEnoughMemory,
        SurfaceUnavailable,
        PageUnavailable,
        SnapshotRefused,
        OSError,
    )
    try:
        app(arguments)
    except SystemExit as end:  # how typer ends every command, good or bad
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except expected as problem:
        _say(str(problem))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
