"""What is said of a run while it goes on, and at its end."""

import io
import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Checkout, tiny

from rosetta_core.config import parse_config
from rosetta_core.runs.progress import RunProgress, watch
from rosetta_core.runs.summary import Job, summary
from rosetta_core.runtime.progress import Progress, duration
from rosetta_core.stages.registry import benchmarks
from rosetta_core.stages.tools.summary import run_summary


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def said_by_snakemake(event: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"event": event, "levelno": logging.INFO, **extra})


@pytest.fixture
def line(tmp_path: Path):
    """The line of a run of six jobs, of which three have begun and one of these has ended."""
    shown = RunProgress("faces", {"activations": 27.0, "units": 0.0}, io.StringIO())
    stats = {"all": 1, "activations": 4, "units": 2, "total": 7}
    shown.emit(said_by_snakemake("run_info", stats=stats))
    shown.emit(said_by_snakemake("job_started", jobs=[1, 2, 3]))
    log = tmp_path / "activations.log"
    for number, rule in ((1, "activations"), (2, "activations"), (3, "units")):
        wildcards = {"model": f"m{number}"}
        announced = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "log": [str(log)]}
        shown.emit(said_by_snakemake("job_info", **announced))
    shown.emit(said_by_snakemake("job_finished", job_id=1))
    yield SimpleNamespace(shown=shown, log=log)
    shown.close()


def test_the_line_counts_jobs_and_names_those_at_work(line) -> None:
    said = line.shown.line(time.monotonic() + 60)
    # 30 of 4·30 + 2·3 expected seconds are done after a minute
    assert said.startswith("faces: 1 of 6 jobs, 1 min 00 s, about 3 min 12 s left · ")
    assert said.endswith(" · activations m2 (1 min 00 s) · units m3 (1 min 00 s)")


def test_the_line_says_how_far_a_job_is_by_its_log(line, caplog) -> None:
    with caplog.at_level(logging.INFO), Progress("m2", total=256) as progress:
        progress._logged -= 60  # a minute ago
        progress.advance(128)
    line.log.write_text("".join(f"17:00:00 {text}\n" for text in caplog.messages[:1]))
    assert re.search(
        r"activations m2 \(128 of 256 images \(.+ a second\), .+ left\)", line.shown.line(0)
    )


def test_a_job_that_failed_is_at_work_no_more(line) -> None:
    line.shown.emit(said_by_snakemake("job_error", jobid=2))
    said = line.shown.line(time.monotonic())
    assert "m2" not in said
    assert said.startswith("faces: 1 of 6 jobs")


def test_nothing_is_drawn_in_a_file() -> None:
    before = list(logging.getLogger("snakemake.logging").handlers)
    stream = io.StringIO()
    watch("faces", {"units": 1.0}, stream)
    assert logging.getLogger("snakemake.logging").handlers == before
    assert stream.getvalue() == ""


def test_the_end_of_a_run_says_what_ran_and_what_was_there() -> None:
    jobs = [
        Job("sample", seconds=4.0, memory=500.0, written=100.0),
        Job("units", seconds=2.0, memory=90.0, written=300.0),
        Job("units", seconds=63.0, memory=100.0, written=301.0),
    ]
    folders = {"activations": 3 * 2**20, "edits": 0}
    lines = summary("faces", jobs, began=200.0, ended=270.0, folders=folders)
    assert lines[0] == "run faces: 2 of 3 jobs ran in 1 min 10 s"
    assert [line.split() for line in lines[2:4]] == [
        ["sample", "0", "1", "-", "500", "MiB"],
        ["units", "2", "0", "1", "min", "05", "s", "100", "MiB"],
    ]
    assert lines[-1] == "  on disk: activations 3.0 MiB"


def test_the_summary_of_a_finished_run(finished: Checkout, monkeypatch) -> None:
    monkeypatch.chdir(finished.folder)
    said = run_summary(parse_config(tiny()), began=time.time())
    jobs = len(benchmarks(parse_config(tiny())))
    assert f"run tiny: 0 of {jobs} jobs ran in 0 s" in said
    assert "open results/tiny/dictionary/index.html" in said
