"""Who is at work on a run: locks that the kernel lets go of, however their holder ended.

occupied       a run is kept for this process, which starts its jobs
taking_part    this process does a job of a run
at_work        the processes of this machine that are at work on a run

A run may be started when nobody else started it and none of its jobs is left of an earlier start.
Nothing has to be unlocked after a crash. On a network's file system the locks hold across machines
where it supports flock; where it doesn't, nothing is locked and a warning says so.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.progress import log

__all__ = ["at_work", "job_lock", "run_lock"]

STARTED, JOBS = ".started.lock", ".jobs.lock"


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Keep a run for this process, which starts its jobs.

    Raises:
        RosettaError: another process started it, or jobs of an earlier start are at work.
    """
    run.mkdir(parents=True, exist_ok=True)
    with _lock(run / STARTED, fcntl.LOCK_EX) as started:
        if not started:
            raise RosettaError(f"{run}: is being run, {_named(run / STARTED)}; wait, or stop it")
        with _lock(run / JOBS, fcntl.LOCK_EX) as idle:  # jobs of this start take it after this
            if not idle:
                left = _named(run / JOBS)
                raise RosettaError(f"{run}: jobs are still at work, {left}; wait, or stop them")
        yield


@contextmanager
def job_lock(run: Path) -> Iterator[None]:
    """Say that this process does a job of a run, if there is that run; never waits."""
    with _lock(run / JOBS, fcntl.LOCK_SH) if run.is_dir() else nullcontext():
        yield


def at_work(run: Path) -> list[int]:
    """Return the processes of this machine that start a run's jobs or do one, in order."""
    return sorted(_holders(run / STARTED) | _holders(run / JOBS))


def _holders(path: Path) -> set[int]:
    """The processes of this machine that hold a lock."""
    if not path.exists():
        return set()
    found = path.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return set()
    # "1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF"; who waits has "->" in front
    fields = [line.split() for line in lines if "->" not in line]
    return {int(field[4]) for field in fields if field[5] == place} - {0}


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[bool]:
    """Lock a file, and say whether no other process holds it in a way that forbids it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            log.warning("%s: can't be locked here (%s); start a run only once", path, error)
        yield True


def _named(path: Path) -> str:
    """The processes that hold a lock and what they run, or where else they may be."""
    processes = sorted(_holders(path))
    if not processes:
        return "by a process of another machine or container"
    names = []
    for process in processes:
        try:
            line = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            line = ""
        words = [Path(word).name for word in line.split("\0") if word]
        names.append(f"process {process} ({' '.join(words[:6])})" if words else str(process))
    return "by " + ", ".join(names)
