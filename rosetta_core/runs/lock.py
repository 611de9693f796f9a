"""Run and job locks, which the kernel releases when their process ends.

A run is locked by the process that starts its jobs, and by each of its jobs: it can be started only
when no other process started it and no job of an earlier start is running. The locks are those of
`flock`, so a crash leaves nothing to unlock. On a network file system they hold across machines if
it supports `flock`; otherwise nothing is locked, and a warning is logged.
"""

import errno
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import explain_read_only
from rosetta_core.io.regular_files import check_inside
from rosetta_core.runtime.progress import log

__all__ = ["check_links", "job_lock", "lock_holders", "run_lock", "running_processes"]

RUN_LOCK, JOB_LOCK = ".started.lock", ".jobs.lock"
PAGES = {"dictionary", "steering"}  # folders that are replaced as a whole,
JOBS = {"inversions", "shows", "edits", "tunings", "evaluations"}  # and folders of such folders
KERNEL_LOCKS = Path("/proc/locks")


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Lock a run for this process, which starts its jobs; the folder is created if it is missing.

    Raises:
        RosettaError: another process started the run, jobs of an earlier start are running, the
            folder cannot be written, or links in it lead elsewhere.
    """
    with explain_read_only(run, cure="use another folder in results"):
        run.mkdir(parents=True, exist_ok=True)
        check_links(run)
        _open_lock(run / RUN_LOCK).close()
    with _lock(run / RUN_LOCK) as locked:
        if not locked:
            raise RosettaError(
                f"{run}: run is locked by {_describe_holders(run / RUN_LOCK)}; wait for it to end, "
                "or stop it"
            )
        with _lock(run / JOB_LOCK) as idle:  # released before the first job of this start
            if not idle:
                raise RosettaError(
                    f"{run}: jobs of an earlier start are still running, "
                    f"{_describe_holders(run / JOB_LOCK)}; wait for them to end, or stop them"
                )
        yield


@contextmanager
def job_lock(run: Path) -> Iterator[None]:
    """Mark this process as a job of a run, if the run's folder exists; never waits.

    A run in a read-only folder, which only reading commands use, has no lock.

    Raises:
        RosettaError: links in the folder of the run lead elsewhere.
    """
    if os.access(run, os.W_OK):
        check_links(run)
    with _lock(run / JOB_LOCK, shared=True) if os.access(run, os.W_OK) else nullcontext():
        yield


def running_processes(run: Path) -> list[int]:
    """Return the processes of this machine that start a run's jobs or are one, in order."""
    return sorted({*lock_holders(run / RUN_LOCK), *lock_holders(run / JOB_LOCK)})


def lock_holders(path: Path, *, kernel_locks: Path | None = None) -> list[int]:
    """Return the processes of this machine that hold the lock of a file, in order.

    Args:
        path: file that is locked.
        kernel_locks: the kernel's table of all locks (`man 5 proc_locks`); None: /proc/locks. It
            has process 0 for processes outside this container, which are left out.

    Returns:
        Process numbers; none without such a table.
    """
    try:
        status = path.stat()
        lines = (kernel_locks or KERNEL_LOCKS).read_text().splitlines()
    except OSError:
        return []
    file_id = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    # "1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF"; "->" marks a process that waits
    locks = [line.split() for line in lines if "->" not in line]
    return sorted({int(lock[4]) for lock in locks if lock[5] == file_id and int(lock[4]) > 0})


@contextmanager
def _lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Lock a file; yield whether no other process holds a conflicting lock."""
    with _open_lock(path) as file:
        try:
            _flock(file, shared=shared)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            log.warning("%s: cannot be locked (%s); do not start this run twice", path, error)
        yield True


def check_links(run: Path) -> None:
    """Check that no folder in which jobs of a run write is a link.

    Jobs replace and delete files there, and a run may come from others. Outputs that are folders,
    which are replaced as a whole, are not searched.

    Raises:
        RosettaError: a folder is a link; or a lock, a configuration or another file of the run is.
    """
    pending = [run]
    while pending:
        try:
            entries = sorted(os.scandir(pending.pop()), key=lambda entry: entry.name)
        except OSError:  # not readable: jobs will say so
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                check_inside(run, path)
            elif entry.is_dir() and path.suffix != ".zarr":
                whole = path.parent.name in JOBS or (path.parent == run and path.name in PAGES)
                pending += [] if whole else [path]


def _open_lock(path: Path) -> TextIO:
    """Open the file of a lock, which is created if it is missing; links are not followed."""
    regular = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = open(path, "a", opener=lambda name, flags: os.open(name, flags | regular, 0o666))  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise
        raise RosettaError(f"{path}: is not a regular file; remove it") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise RosettaError(f"{path}: is not a regular file; remove it")
    return file


def _flock(file: TextIO, *, shared: bool) -> None:
    try:
        import fcntl
    except ImportError as error:
        raise RosettaError(
            f"{file.name}: cannot be locked, because {platform.system()} has no fcntl; run the "
            "workflow on Linux"
        ) from error
    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _describe_holders(path: Path) -> str:
    """Name the processes that hold a lock, with their command lines."""
    processes = lock_holders(path)
    if not processes:
        return "a process of another machine or container"
    return ", ".join(map(_describe_process, processes))


def _describe_process(process: int) -> str:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        command = ""
    words = [Path(word).name for word in command.split("\0") if word]
    text = " ".join(" ".join(words[:6]).split())  # one line
    return f"process {process} ({text})" if text else f"process {process}"
