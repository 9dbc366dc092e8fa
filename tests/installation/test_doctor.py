"""What the doctor says about good machines and bad ones, and that every finding has a remedy."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from installation import doctor
from installation.clock import ManualClock
from installation.doctor import Line, Report, doctor_report, render
from models.registry import load_model

NOON_S = 1_795_348_800.0


def levels(lines) -> list[str]:
    return [line.level for line in lines]


def test_versions_name_python_and_every_package():
    python, packages = doctor.versions(["numpy", "rich"])
    assert python.found.startswith("3.")
    assert "numpy 2" in packages.found and "rich " in packages.found


def test_a_missing_package_stops_a_show_and_is_named():
    *_, missing = doctor.versions(["numpy", "no-such-package"])
    assert (missing.level, missing.found) == ("fail", "not installed: no-such-package")
    assert "run ./wanderer again" in missing.remedy


def test_the_best_capability_of_the_processor_is_named():
    flags = doctor.cpu_flags_of("processor : 0\nflags\t\t: fpu avx2 avx512f sse\n")
    processor, memory = doctor.cpu(flags, 2, 8 << 30)
    assert (processor.level, processor.found) == ("ok", "2 cores, avx512f")
    assert (memory.level, memory.found) == ("ok", "8.0 GiB free")


def test_an_old_processor_and_little_memory_are_warnings():
    assert levels(doctor.cpu(frozenset({"sse2"}), 2, 100 << 20)) == ["warn", "warn"]


def test_a_processor_that_lists_no_flags_is_taken_as_it_is():
    assert doctor.cpu_flags_of("model name : something") == frozenset()
    assert levels(doctor.cpu(frozenset(), 4, 8 << 30)) == ["ok", "ok"]


def test_drawing_by_the_processor_is_pointed_out():
    info = {"GL_RENDERER": "llvmpipe (LLVM 15)", "GL_VERSION": "4.5"}
    (line,) = doctor.opengl(info)
    assert line.level == "warn" and "drawn by the processor" in line.remedy
    assert levels(doctor.opengl({**info, "GL_RENDERER": "NVIDIA RTX"})) == ["ok"]


def test_no_display_is_no_fault():
    (line,) = doctor.displays({})
    assert line.level == "ok" and "live page" in line.found


def test_a_display_that_does_not_answer_is_a_warning(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4321")
    (line,) = doctor.displays({"DISPLAY": ":4321"})
    assert line.level == "warn" and "DISPLAY is :4321" in line.found


def test_folders_that_do_not_exist_yet_count_as_writable(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    models, state = doctor.folders({"XDG_STATE_HOME": str(tmp_path / "state")})
    assert (models.level, state.level) == ("ok", "ok")
    assert str(tmp_path / "data" / "wanderer" / "models") in models.found
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written_are_warnings(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    found = list(doctor.folders({"XDG_STATE_HOME": str(tmp_path)}))
    assert levels(found) == ["warn", "warn"]
    assert f"make {tmp_path} writable" in found[1].remedy


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 5 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert "5 MiB free" in next(doctor.folders({"XDG_STATE_HOME": str(tmp_path)})).found


def test_a_clock_of_1970_stops_a_show():
    line, *_ = doctor.clock_lines(ManualClock(now=86400.0))
    assert (line.level, line.found) == ("fail", "it says 1970-01-02 00:00 UTC")
    assert "timedatectl" in line.remedy


def test_a_right_clock_and_known_time_zones_are_fine():
    assert levels(doctor.clock_lines(ManualClock(now=NOON_S))) == ["ok", "ok"]


def test_two_clocks_that_disagree_are_a_warning():
    class Racing(ManualClock):
        def now(self) -> float:
            return NOON_S + 3 * self.monotonic()

    assert levels(doctor.clock_lines(Racing())) == ["ok", "warn", "ok"]


def test_missing_time_zones_stop_a_show():
    line = doctor.zones("Europe/Atlantis")
    assert (line.level, line.remedy) == ("fail", "pip install tzdata")


def test_a_broken_card_is_named_and_the_others_stay_listed(tmp_path, monkeypatch):
    (tmp_path / "broken.card.yaml").write_text("name: [")
    (tmp_path / "broken.safetensors").write_bytes(b"")
    monkeypatch.setattr(doctor, "search_folders", lambda: [tmp_path])
    monkeypatch.chdir(tmp_path)
    models, broken = doctor.other_models()
    assert (models.level, models.found) == ("ok", "testcard")
    assert (broken.level, broken.found) == ("warn", "broken can't be used")
    assert "not readable YAML" in broken.remedy


def test_a_missing_model_stops_a_show_and_the_report_goes_on():
    found = doctor._model_or_line("no-such-model")
    assert isinstance(found, Line) and found.level == "fail"
    assert "no such model" in found.found and found.remedy


def test_a_fault_of_the_doctor_is_one_line_and_hides_no_other():
    def examination():
        yield Line("first", "ok", "fine")
        raise OSError("unreadable")

    first, fault = doctor._guarded(examination)
    assert first.level == "ok"
    assert fault.found == "could not be finished: OSError: unreadable"


@pytest.mark.gl
def test_the_whole_report_of_this_machine_lets_the_test_card_run():
    report = doctor_report("testcard", ManualClock(now=NOON_S))
    abouts = [line.about for line in report.lines]
    for about in ("Python", "OpenGL", "display", "model", "computing", "upload", "CUDA", "clock"):
        assert about in abouts
    assert report.can_run
    assert all(line.remedy for line in report.lines if line.level != "ok")
    (upload,) = (line for line in report.lines if line.about == "upload")
    assert upload.found.startswith(("mapped: ", "copy: ", "cuda: "))


@pytest.mark.gl
def test_without_its_model_the_report_says_that_no_show_can_run():
    report = doctor_report("no-such-model", ManualClock(now=NOON_S))
    assert not report.can_run
    assert [line.about for line in report.lines if line.level == "fail"] == ["model"]


def test_a_printed_report_shows_marks_remedies_and_a_verdict():
    out = io.StringIO()
    lines = (Line("OpenGL", "ok", "fine"), Line("model", "fail", "not there", "restore it"))
    render(Report(lines), Console(file=out, width=80))
    text = out.getvalue()
    assert "✓  OpenGL  fine" in text
    assert "✗  model   not there" in text and "→ restore it" in text
    assert "No show can run yet: see the lines marked ✗." in text


def test_a_good_report_says_that_a_show_can_run():
    out = io.StringIO()
    render(Report((Line("OpenGL", "warn", "slow", "buy one"),)), Console(file=out, width=80))
    assert "A show can run on this machine." in out.getvalue()


def test_model_lines_say_where_it_computes():
    model, computing = doctor.model_lines("testcard", load_model("testcard"))
    assert "testcard" in model.found
    assert computing.found == "on cpu in float32"


def test_reading_flags_works_on_this_machine():
    assert Path("/proc/cpuinfo").exists() is False or isinstance(doctor._cpu_flags(), frozenset)
