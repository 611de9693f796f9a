"""Progress line and summary of a workflow run."""

import io
import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Checkout, tiny

from rosetta_core.config import parse_config
from rosetta_core.runs.costs import JobCost, read_benchmark, summary_lines
from rosetta_core.runs.progress import RunProgress, show_progress
from rosetta_core.runtime.progress import duration
from rosetta_core.stages.registry import benchmarks
from rosetta_core.stages.tools.summary import run_summary

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def snakemake_event(event: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"event": event, "levelno": logging.INFO, **fields})


@pytest.fixture
def shown(tmp_path: Path):
    """The progress of a run of six jobs, of which three have started and one has finished."""
    progress = RunProgress("faces", {"activations": 27.0, "units": 0.0}, io.StringIO())
    stats = {"all": 1, "activations": 4, "units": 2, "total": 7}
    progress.emit(snakemake_event("run_info", stats=stats))
    progress.emit(snakemake_event("job_started", jobs=[1, 2, 3]))
    log = tmp_path / "activations.log"
    for number, rule in ((1, "activations"), (2, "activations"), (3, "units")):
        wildcards = {"model": f"m{number}"}
        fields = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": [str(log)]}
        progress.emit(snakemake_event("job_info", **fields))
    progress.emit(snakemake_event("job_finished", job_id=1))
    yield SimpleNamespace(progress=progress, log=log)
    progress.close()


def test_the_line_counts_jobs_and_names_the_running_ones(shown) -> None:
    line = shown.progress.line(time.monotonic() + 60)
    # 30 of 4·30 + 2·3 expected seconds are done after a minute
    assert re.match(r"faces: 1 of 6 jobs, 1 min 00 s, about 3 min 1\d s left · ", line)
    assert line.endswith(" · activations m2 (1 min 00 s) · units m3 (1 min 00 s)")


def test_the_line_shows_the_last_progress_in_a_job_log(shown) -> None:
    shown.log.write_text(
        "17:00:00 m2: 64 of 256 images (2.1 a second), 1 min 31 s left\n"
        "17:00:30 m2: 128 of 256 images (2.1 a second), 1 min 01 s left\n"
        "17:00:31 m2: a warning\n"
    )
    text = "activations m2 (128 of 256 images (2.1 a second), 1 min 01 s left)"
    assert text in shown.progress.line(0)


def test_a_failed_job_is_removed(shown) -> None:
    shown.progress.emit(snakemake_event("job_error", jobid=2))
    line = shown.progress.line(time.monotonic())
    assert "m2" not in line
    assert line.startswith("faces: 1 of 6 jobs")


def test_a_rule_is_expected_to_last_as_long_as_its_stage() -> None:
    """The longest stage name that a rule starts with counts: two jobs, one of 297 + 3 seconds."""
    expected = {"units": 0.0, "unit": 10_000.0, "correlations": 297.0}
    progress = RunProgress("faces", expected, io.StringIO())
    stats = {"units": 1, "correlations_block": 1}
    progress.emit(snakemake_event("run_info", stats=stats))
    progress.emit(snakemake_event("job_started", jobs=[1]))
    progress.emit(snakemake_event("job_info", jobid=1, rule_name="units", wildcards=None, log=None))
    progress.emit(snakemake_event("job_finished", job_id=1))
    assert re.search(r", about 16 min \d\d s left", progress.line(time.monotonic() + 10))
    progress.close()


def test_nothing_is_drawn_into_a_file() -> None:
    before = list(logging.getLogger("snakemake.logging").handlers)
    stream = io.StringIO()
    show_progress("faces", {"units": 1.0}, stream)
    assert logging.getLogger("snakemake.logging").handlers == before
    assert stream.getvalue() == ""


def test_the_summary_counts_what_ran_and_what_was_up_to_date() -> None:
    costs = [
        JobCost("sample", seconds=4.0, memory=500.0, finished=100.0),
        JobCost("units", seconds=2.0, memory=90.0, finished=300.0),
        JobCost("units", seconds=63.0, memory=100.0, finished=301.0),
    ]
    folder_bytes = {"activations": 3 * 2**20, "edits": 0}
    lines = summary_lines("faces", costs, started=200.0, ended=270.0, folder_bytes=folder_bytes)
    assert lines[0] == "run faces: 2 of 3 jobs ran in 1 min 10 s"
    assert re.split(r"  +", lines[1].strip()) == [
        "stage", "ran", "up to date", "time", "peak memory",
    ]  # fmt: skip
    assert [re.split(r"  +", line.strip()) for line in lines[2:4]] == [
        ["sample", "0", "1", "-", "500 MiB"],
        ["units", "2", "0", "1 min 05 s", "100 MiB"],
    ]
    assert lines[-1] == "  on disk: activations 3.0 MiB"


def test_benchmarks_of_jobs(tmp_path: Path) -> None:
    path = tmp_path / "units" / "dcgan.tsv"
    assert read_benchmark(path) is None
    path.parent.mkdir()
    path.write_text(f"{HEADER}0.25\t0:00:00\t-\t-\t-\t-\t-\t-\tNA\tNA\n")
    cost = read_benchmark(path)
    assert cost == JobCost("units", 0.25, 0.0, path.stat().st_mtime)
    path.write_text(f"{HEADER}4.5\t0:00:04\t91.25\t-\t-\t-\t-\t-\tNA\tNA\n")
    assert read_benchmark(path) == JobCost("units", 4.5, 91.25, path.stat().st_mtime)
    for damaged in ("", HEADER, "a\tb\n1\t2\n"):
        path.write_text(damaged)
        assert read_benchmark(path) is None


def test_the_summary_of_a_finished_run(finished: Checkout, monkeypatch) -> None:
    monkeypatch.chdir(finished.folder)
    summary = run_summary(parse_config(tiny()), started=time.time())
    jobs = len(benchmarks(parse_config(tiny())))
    assert f"run tiny: 0 of {jobs} jobs ran in 0 s" in summary
    assert "open results/tiny/dictionary/index.html" in summary
