"""Run and job locks: one start of a run at a time, and nothing to unlock after a crash."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from read_only import read_only

from rosetta_core.errors import RosettaError
from rosetta_core.runs.lock import job_lock, lock_holders, run_lock, running_processes

HOLD = """
import time
from pathlib import Path
from rosetta_core.runs.lock import {lock}
with {lock}(Path({run!r})):
    print("locked", flush=True)
    time.sleep(600)
"""


class Holder:
    """Another process that holds a run's lock, "run_lock" or "job_lock"."""

    def __init__(self, lock: str, run: Path) -> None:
        code = HOLD.format(lock=lock, run=str(run))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "locked\n"

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
    message = rf"run is locked by process {other.process.pid} \(.*\); wait for it to end, or stop"
    with pytest.raises(RosettaError, match=message), run_lock(run):
        pass
    assert running_processes(run) == [other.process.pid]
    other.kill()
    with run_lock(run):  # the kernel released the killed process's lock
        assert running_processes(run) == [os.getpid()]
    assert running_processes(run) == []


def test_jobs_of_an_earlier_start_prevent_the_next_one(run: Path) -> None:
    jobs = [Holder("job_lock", run), Holder("job_lock", run)]  # jobs share their lock
    with pytest.raises(RosettaError) as refused, run_lock(run):
        pass
    assert "jobs of an earlier start are still running" in str(refused.value)
    assert running_processes(run) == sorted(job.process.pid for job in jobs)
    for job in jobs:
        assert f"process {job.process.pid} (" in str(refused.value)
        job.kill()
    with run_lock(run):
        Holder("job_lock", run).kill()  # a job of this start


def test_other_runs_in_the_folder_are_not_locked(run: Path) -> None:
    other = Holder("run_lock", run)
    with run_lock(run.with_name("another")):
        pass
    other.kill()


def test_a_job_without_a_run_creates_no_folder(tmp_path: Path) -> None:
    with job_lock(tmp_path / "nothing"):
        assert not (tmp_path / "nothing").exists()


def test_a_run_can_be_started_again(run: Path) -> None:
    for _ in range(2):
        with run_lock(run):
            pass


def test_processes_outside_this_container_are_not_named(run: Path, tmp_path: Path) -> None:
    """The kernel lists them as process 0, and locks of open file descriptions as process -1."""
    lock = run / ".jobs.lock"
    lock.touch()
    status = lock.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    file = f"{device}:{status.st_ino}"
    kernel_locks = tmp_path / "locks"
    kernel_locks.write_text(
        f"1: FLOCK  ADVISORY  READ 0 {file} 0 EOF\n"
        f"2: FLOCK  ADVISORY  READ 4712 {file} 0 EOF\n"
        f"3: FLOCK  ADVISORY  READ 4711 {file} 0 EOF\n"
        f"3: -> FLOCK  ADVISORY  WRITE 4713 {file} 0 EOF\n"
        f"4: OFDLCK ADVISORY  READ -1 {file} 0 EOF\n"
        f"5: FLOCK  ADVISORY  WRITE 4714 {device}:{status.st_ino + 1} 0 EOF\n"
    )
    assert lock_holders(lock, kernel_locks=kernel_locks) == [4711, 4712]
    assert lock_holders(lock, kernel_locks=tmp_path / "missing") == []


def test_a_lock_of_unknown_holders_is_still_a_lock(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Holder("run_lock", run)
    monkeypatch.setattr("rosetta_core.runs.lock.KERNEL_LOCKS", tmp_path / "missing")
    message = "run is locked by a process of another machine or container; wait"
    with pytest.raises(RosettaError, match=message), run_lock(run):
        pass
    other.kill()


def test_a_read_only_run_can_be_read_and_not_started(run: Path) -> None:
    with read_only(run.parent):
        with job_lock(run):
            pass
        message = r"a run: cannot be written \(Read-only file system\); use another folder in resu"
        with pytest.raises(RosettaError, match=message), run_lock(run):
            pass


def test_without_fcntl_the_error_names_linux(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for lock in (run_lock, job_lock):
        with pytest.raises(RosettaError, match="; run the workflow on Linux") as error, lock(run):
            pass
        assert str(error.value).startswith(f"{run}")
        assert "\n" not in str(error.value)
