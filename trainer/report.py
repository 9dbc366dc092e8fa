"""Pages for people: the curve of a training, and who is in a data set.

Reads rows and pictures; knows no network and no training state. Refuses to put two different
quality metrics on one axis, and counts only attributes that the manifest states: it guesses nothing
about anyone.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from models.sheet import contact_sheet
from trainer.dataset import DataSet

Row = Mapping[str, Any]

QUALITY_PREFIXES: Final = ("kid", "fid", "fd_")  # what makes a column a quality metric
LOSSES: Final = ("d_reals", "d_fakes", "g_fakes", "reconstruction", "features", "pull")
SHARES: Final = ("precision_lite0", "recall_lite0")

_PAPER, _INK, _FAINT = "#fbfaf7", "#22222a", "#8b8b92"
_HUES: Final = ("#2f5d8c", "#c4553b", "#3f8f6b", "#8a6bb1", "#c79a2b", "#6d6d75")  # told apart grey
_DPI: Final = 120


class ReportError(Exception):
    """A page cannot be made from these rows; the message says which and why."""


# ---------------------------------------------------------------------------- the curve


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl in order of kimg.

    A torn last line (a run was killed) is left out. Where a run went back to a snapshot, the rows
    it overtook are left out too. Raises ReportError for anything else that is not a row.
    """
    if not path.is_file():
        raise ReportError(f"{path}: no such file, expected the metrics of a run. Name its folder.")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            break
        row = _row(path, number, line)
        while rows and rows[-1]["kimg"] >= row["kimg"]:
            rows.pop()
        rows.append(row)
    return rows


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("kimg"), (int, float)):
        raise ReportError(
            f"{path}, line {number}: found {line.strip()[:60]!r}, expected a JSON object with a "
            "number kimg. Remove the line, or take the file from the run again."
        )
    return row


def _origin(row: Row, name: str) -> tuple[Any, ...]:
    return (row.get(f"{name}_extractor"), row.get(f"{name}_preprocessing"))


def quality_metric(rows: Sequence[Row]) -> str | None:
    """Return the one quality metric in the rows, None if there is none.

    Raises ReportError if there are two, or one in two meanings (another extractor or another
    preprocessing): such numbers cannot share an axis.
    """
    suffixes = ("_std", "_n_real", "_n_fake", "_extractor", "_preprocessing")
    names = sorted(
        {key for row in rows for key in row if key.startswith(QUALITY_PREFIXES)}
        - {key for row in rows for key in row if key.endswith(suffixes)}
    )
    if not names:
        return None
    if len(names) > 1:
        raise ReportError(
            f"metrics: found {' and '.join(names)} in one run, expected one quality metric; their "
            "numbers cannot share an axis. Plot each from a file of its own."
        )
    origins = {_origin(row, names[0]) for row in rows if names[0] in row}
    if len(origins) > 1:
        found = " and ".join(sorted("/".join(map(str, origin)) for origin in origins))
        raise ReportError(
            f"metrics: found {names[0]} of {found}, expected one extractor and preprocessing. "
            "Measure the snapshots again with one of them."
        )
    return names[0]


def _series(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    """Return (kimg, value) of the rows that have `name`."""
    kept = [row for row in rows if isinstance(row.get(name), (int, float))]
    return [float(row["kimg"]) for row in kept], [float(row[name]) for row in kept]


def _style(axis: Axes, title: str) -> None:
    axis.set_facecolor(_PAPER)
    axis.set_title(title, loc="left", fontsize=10, color=_INK)
    axis.tick_params(colors=_FAINT, labelsize=8, length=0)
    axis.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(_FAINT)


def _draw_quality(axis: Axes, rows: Sequence[Row], name: str) -> None:
    kimg, value = _series(rows, name)
    _, std = _series([row for row in rows if name in row], f"{name}_std")
    axis.plot(kimg, value, color=_HUES[0], marker="o", markersize=3, linewidth=1.4)
    if len(std) == len(value):
        low = [v - s for v, s in zip(value, std, strict=True)]
        high = [v + s for v, s in zip(value, std, strict=True)]
        axis.fill_between(kimg, low, high, color=_HUES[0], alpha=0.15, linewidth=0)
    axis.axhline(0, color=_FAINT, linewidth=0.8)
    axis.annotate(
        f"{value[-1]:.3f}", (kimg[-1], value[-1]), xytext=(4, 4), textcoords="offset points",
        fontsize=8, color=_HUES[0],
    )  # fmt: skip
    row = next(row for row in reversed(rows) if name in row)
    counts = f"{row.get(f'{name}_n_fake', '?')} made, {row.get(f'{name}_n_real', '?')} real"
    _style(axis, f"{name} (lower is nearer the data; {counts}; band: one standard deviation)")


def _draw_lines(axis: Axes, rows: Sequence[Row], names: Sequence[str], title: str) -> None:
    for name in names:
        kimg, value = _series(rows, name)
        # By name, not by place: a colour means the same in the curves of all runs.
        hue = _HUES[(SHARES if name in SHARES else LOSSES).index(name)]
        label = name.removesuffix("_lite0").replace("_", " ")
        dot = "o" if name in SHARES else ""  # few and far between, like the quality
        axis.plot(kimg, value, color=hue, linewidth=1.1, marker=dot, markersize=3, label=label)
    if set(names) <= set(SHARES):
        axis.set_ylim(-0.02, 1.02)
    # Above the axis, right of the title: no line can run through it.
    axis.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(names), fontsize=8,
        frameon=False, labelcolor=_INK, borderpad=0, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
    _style(axis, title)


def _panels(rows: Sequence[Row]) -> list[tuple[str, tuple[str, ...]]]:
    """Decide what is drawn from top to bottom: (title, columns) with at least one value."""

    def there(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if _series(rows, name)[0])

    quality = quality_metric(rows)
    wanted = (
        ("quality", there([quality] if quality else [])),
        ("precision: made ones that look real; recall: the reverse", there(SHARES)),
        ("losses", there(LOSSES)),
    )
    return [(title, names) for title, names in wanted if names]


def draw_curve(rows: Sequence[Row], title: str) -> Image.Image:
    """Draw the curve of a run over kimg: quality, precision and recall, losses; as a picture.

    Raises ReportError if the rows hold nothing to draw or metrics that cannot share an axis.
    """
    panels = _panels(rows)
    if not panels:
        raise ReportError(
            "metrics: found no quality metric and no loss, expected at least one row of them. "
            "Wait for the run's first row."
        )
    figure = Figure(figsize=(8.5, 1 + 2.4 * len(panels)), facecolor=_PAPER, layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (heading, names) in zip(axes, panels, strict=True):
        if heading == "quality":
            _draw_quality(axis, rows, names[0])
        else:
            _draw_lines(axis, rows, names, heading)
    axes[-1].set_xlabel("thousand real pictures seen (kimg)", fontsize=9, color=_INK)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=_INK)
    file = io.BytesIO()
    figure.savefig(file, dpi=_DPI, format="png", metadata={"Software": None})
    return Image.open(file).convert("RGB")


def write_curve(metrics: Path, picture: Path, title: str | None = None) -> None:
    """Draw the curve of a metrics.jsonl into a PNG; the title is the run's folder unless given."""
    draw_curve(read_rows(metrics), title or metrics.absolute().parent.name).save(picture, "PNG")


# ---------------------------------------------------------------------------- the data set


def attribute_counts(data: DataSet) -> dict[str, dict[str, int]]:
    """Return {attribute: {value: pictures}}, most frequent first; "none" where there is nothing."""
    rows = data.manifest
    names = [name for name in rows[0] if name != "picture"]
    counts: dict[str, dict[str, int]] = {}
    for name in names:
        values = Counter("none" if row[name] is None else str(row[name]) for row in rows)
        counts[name] = dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
    return counts


def data_markdown(data: DataSet) -> str:
    """Return who is in the data set as Markdown: what it is, then one table per attribute."""
    facts = {
        "pictures": len(data),
        "size": f"{data.resolution} × {data.resolution} px",
        "seed": data.info.get("seed", "unknown"),
        "licence": data.info.get("licence", "unknown"),
        "made by": ", ".join(f"{k} {v}" for k, v in data.info.get("made_by", {}).items()),
        "SHA-256": data.sha256,
    }
    lines = ["# Who is in the data set", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for name, values in attribute_counts(data).items():
        lines += ["", f"## {name.replace('_', ' ')}", "", "| value | pictures | share |"]
        lines += ["|---|--:|--:|"]
        lines += [f"| {v} | {n} | {100 * n / len(data):.1f} % |" for v, n in values.items()]
    return "\n".join(lines) + "\n"


def data_sheet(data: DataSet, *, columns: int = 16, rows: int = 10, seed: int = 0) -> Image.Image:
    """Return a contact sheet of pictures drawn at random by `seed`, in their own size."""
    count = min(columns * rows, len(data))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[:count])
    pictures = data.images.numpy()[chosen].transpose(0, 2, 3, 1)
    return contact_sheet(np.ascontiguousarray(pictures), columns)


def write_data_report(data: DataSet, folder: Path) -> None:
    """Write data.md, data.json and data.png (a contact sheet) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.md").write_text(data_markdown(data), "utf-8")
    summary = {"data_set": data.info, "attributes": attribute_counts(data)}
    (folder / "data.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    data_sheet(data).save(folder / "data.png", "PNG")
