"""A run is started once at a time, and a crash leaves nothing to unlock."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.runs.lock import at_work, job_lock, run_lock

HOLD = """
import time
from pathlib import Path
from rosetta_core.runs.lock import occupied, taking_part
with {what}(Path({run!r})):
    print("held", flush=True)
    time.sleep(600)
"""


class Holder:
    """Another process that holds a run, or a job of it."""

    def __init__(self, what: str, run: Path) -> None:
        code = HOLD.format(what=what, run=str(run))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "a run"
    folder.mkdir(parents=True)
    return folder


def test_a_run_is_started_by_one_process_at_a_time(run: Path) -> None:
    other = Holder("run_lock", run)
    named = rf"is being run, by process {other.process.pid} \("
    with pytest.raises(RosettaError, match=named), run_lock(run):
        pass
    assert at_work(run) == [other.process.pid]
    other.kill()
    with run_lock(run):  # what a killed process held is free
        pass
    assert at_work(run) == []


def test_jobs_that_outlived_their_start_keep_the_next_one_out(run: Path) -> None:
    one, two = Holder("job_lock", run), Holder("job_lock", run)  # jobs are many
    with pytest.raises(RosettaError) as refused, run_lock(run):
        pass
    assert "jobs are still at work" in str(refused.value)
    for job in (one, two):
        assert f"process {job.process.pid}" in str(refused.value)
        job.kill()
    with run_lock(run):
        job = Holder("job_lock", run)  # one of this start
        job.kill()


def test_other_runs_of_the_folder_are_free(run: Path) -> None:
    other = Holder("run_lock", run)
    with run_lock(run.with_name("another")):
        pass
    other.kill()


def test_a_job_of_no_run_makes_no_folder(tmp_path: Path) -> None:
    with job_lock(tmp_path / "nothing"):
        assert not (tmp_path / "nothing").exists()


def test_a_start_lets_go_when_it_ends(run: Path) -> None:
    for _ in range(2):
        with run_lock(run):
            time.sleep(0.01)
