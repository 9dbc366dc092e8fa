"""The training command line: prepare pictures, run, continue, look at the curve, publish.

Parses words and shows errors; every deed is done elsewhere.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

# Read by OpenMP when torch starts it. Threads that spin while waiting take a busy machine's cores
# from each other: a picture took 2.4 s instead of 50 ms beside other work (2 cores, AMD EPYC).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train a model of your own.")
prepare = typer.Typer(no_args_is_help=True, help="Make a data set.")
app.add_typer(prepare, name="prepare")


@contextmanager
def _spoken() -> Iterator[None]:
    """Turn the errors that people can act on into one sentence and exit code 2."""
    from trainer.dataset import DataSetError
    from trainer.runs import RunUnusable
    from trainer.settings import one_line
    from trainer.store import SnapshotUnusable
    from trainer.training_loop import TrainingDiverged

    try:
        yield
    except (RunUnusable, SnapshotUnusable, TrainingDiverged, DataSetError, ValueError) as error:
        typer.echo(one_line(error), err=True)
        raise typer.Exit(2) from error


@prepare.command()
def peeps(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the data set.")],
    count: Annotated[int, typer.Option(min=1)] = 20_000,
    size: Annotated[int, typer.Option(min=8, max=1024, help="Pixels a side.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Draw figures in the Open Peeps style (CC0), with a manifest of who is in them."""
    from trainer.dataset import prepare_peeps

    with _spoken():
        data = prepare_peeps(count, size, out, seed)
    typer.echo(f"{out}: {len(data)} pictures of {size} px, sha-256 {data.sha256}")


@app.command()
def run(
    kimg: Annotated[float, typer.Option(min=0.001, help="Goal, thousands of pictures in all.")],
    data: Annotated[Path | None, typer.Option(help="Data set to learn.")] = None,
    out: Annotated[str | None, typer.Option(help="Name of the run, or a path.")] = None,
    resume: Annotated[str | None, typer.Option(help="Run or snapshot to go on from.")] = None,
    warm_start: Annotated[float, typer.Option(min=0, help="Kimg of reconstruction first.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    gamma: Annotated[float | None, typer.Option(min=0, help="Weight of R1.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, NAME=VALUE.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="A size of the networks, NAME=VALUE.")
    ] = None,
    snapshot_minutes: Annotated[float, typer.Option(min=0.01)] = 10.0,
    snapshot_every: Annotated[
        float | None, typer.Option(min=0.001, help="Kimg; in place of minutes.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Snapshots kept.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    kid_pictures: Annotated[
        int, typer.Option(min=0, help="Made for kid_lite0 at each snapshot; 0: none.")
    ] = 500,
) -> None:
    """Train: a new run (--data, --out), or go on (--resume), or branch off (--resume, --out)."""
    from trainer import commands, runs, session
    from trainer.settings import Settings

    pace = session.Pace(
        kimg, snapshot_minutes=snapshot_minutes, snapshot_kimg=snapshot_every, keep=keep
    )
    machine = commands.Machine(device, threads, kid_pictures)
    words = shlex.join(sys.argv[1:]).replace(str(Path.home()), "~")  # cards are public
    command = f"wanderer train {words}"
    with _spoken():
        changes = _pairs("--set", settings) | ({} if gamma is None else {"gamma": gamma})
        sizes = _pairs("--shape", shape)
        if resume is None:
            if data is None or out is None:
                raise ValueError("a new run needs --data DATASET and --out NAME")
            new = {"seed": seed, "batch": batch, "warm_start_kimg": warm_start}
            asked = Settings.model_validate({"architecture": sizes, **new, **changes})
            last = commands.start(asked, data, runs.place(out), pace, machine, command)
        elif sizes:
            raise ValueError("--shape: a resumed run keeps its networks; leave it out")
        elif out is not None:
            last = commands.branch(
                runs.named(resume), data, runs.place(out), pace, machine,
                changes=changes, command=command,
            )  # fmt: skip
        elif changes:
            raise ValueError("changed settings make a new run; name it with --out")
        else:
            last = commands.resume(runs.named(resume), data, pace, machine)
    typer.echo(str(last))


@app.command()
def curve(
    run: Annotated[str, typer.Argument(help="Name of the run, or its folder.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG to write.")] = None,
) -> None:
    """Draw a run's metrics over its pictures, as a PNG."""
    from trainer import runs
    from trainer.report import ReportError, write_curve

    folder = runs.named(run)
    picture = out or folder / "curve.png"
    try:
        write_curve(folder / runs.METRICS, picture, folder.name)
    except ReportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(str(picture))


@app.command()
def publish(
    snapshot: Annotated[str, typer.Argument(help="Snapshot's folder, or a run for its newest.")],
    to: Annotated[Path, typer.Option(help="Folder to write to.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    with_state: Annotated[
        bool, typer.Option(help="Also write the state that training can go on from.")
    ] = False,
) -> None:
    """Write a snapshot's network as a model with its card and a contact sheet."""
    from trainer import commands, runs
    from trainer.publish import publish as write

    with _spoken():
        folder = commands.state_of(runs.named(snapshot)).parent
        written = write(folder, to, name, with_state=with_state)
    for path in (written.weights, written.card, written.sheet):
        typer.echo(str(path))


def _pairs(option: str, texts: list[str] | None) -> dict[str, object]:
    """Turn ["NAME=VALUE", …] into a mapping; settings check the values themselves."""
    for text in texts or []:
        if "=" not in text:
            raise ValueError(f"{option} {text}: expected NAME=VALUE")
    return {name: value for name, value in (text.split("=", 1) for text in texts or [])}


if __name__ == "__main__":
    app(prog_name="wanderer train")
