"""The bench from beginning to end with the test card, and what it prints where."""

import io
import json

import pytest
from rich.console import Console

from installation import bench
from installation.bench import Plan, bench_show, results, table
from installation.clock import SystemClock
from models.yardstick import untrained

QUICK = Plan(
    generation_s=0.02,
    uploads=3,
    draws=2,
    plans=3,
    pacing_s=0.2,
    size=(64, 64),
    large_s=0.02,
    memory_s=0.4,
    memory_every_s=0.01,
    settling_s=0.1,
)
TINY = {
    "z_dim": 8,
    "c_dim": 0,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 128,
    "channel_max": 8,
    "num_layers": 4,
    "num_critical": 1,
    "margin_size": 3,
    "mapping_kwargs": {"num_layers": 1},
}
pytestmark = [pytest.mark.gl, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def found():
    said = []
    result = results("testcard", QUICK, SystemClock(), said.append, large=lambda: untrained(TINY))
    return result, said


def test_every_part_that_was_promised_is_measured(found):
    result, _ = found
    parts = {"machine", "model", "model256", "upload", "draw", "plan", "pacing", "memory"}
    assert parts | {"seconds"} == set(result)
    assert result["model"]["generated_fps"] > 0
    assert result["model"]["textbook_ratio"] is None  # the test card is no network
    assert result["model256"]["textbook_ratio"] > 0
    assert result["upload"]["copy_ms"] > 0 and result["plan"]["us"] > 0
    assert result["memory"]["resident_mb"] > 10 and "slope_mb_per_hour" in result["memory"]


def test_the_show_ran_alone_and_with_its_page_watched(found):
    result, _ = found
    for way in ("alone", "watched"):
        assert result["pacing"][way]["frames"] > 0 and result["pacing"][way]["failed"] == 0
    assert result["pacing"]["watched"]["frames_to_the_page"] > 0


def test_progress_is_told_step_by_step(found):
    _, said = found
    assert said[0] == "loading testcard" and len(said) == 6


def test_the_result_is_one_object_of_json(found):
    result, _ = found
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_table_has_a_line_for_every_figure(found):
    result, _ = found
    out = io.StringIO()
    Console(file=out, width=120).print(table(result))
    for name in ("model.generated_fps", "plan.us", "pacing.alone.mean_ms", "memory.resident_mb"):
        assert name in out.getvalue()


def test_json_on_stdout_is_alone_and_progress_goes_to_stderr(monkeypatch, capsys):
    canned = {"model": {"generated_fps": 31.0}}

    def measured(model, wanted, clock, say):
        say(f"loading {model}")
        return canned

    monkeypatch.setattr(bench, "results", measured)
    bench.run_bench(as_json=True, full=False, model="figures-64")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"model.generated_fps": 31.0} and printed.out.count("\n") == 1
    assert printed.err == "loading figures-64\n"


def test_the_full_bench_adds_the_large_network_and_ten_minutes_of_memory(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(bench, "results", lambda model, wanted, clock, say: asked.append(wanted))
    monkeypatch.setattr(bench, "table", lambda result: "table")
    bench.run_bench(as_json=False, full=True, model="testcard")
    bench.run_bench(as_json=False, full=False, model="testcard")
    full, brief = asked
    assert full.memory_s - full.settling_s >= 600 and full.large_s > 0
    assert brief.memory_s == brief.large_s == 0


def test_the_show_of_the_bench_takes_any_models_name():
    assert bench_show("odd: name #1").scenes[0].model == "odd: name #1"
