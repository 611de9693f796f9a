"""Exhausted disk, memory, files and GPU as one-line messages, and glibc's freed memory.

Errors are recognised by type, `errno`, or the wording of torch, CUDA and Arrow, along the whole
chain of causes. This module does not import torch.
"""

import contextlib
import ctypes
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

__all__ = [
    "exhaustion_message",
    "keep_freed_memory",
    "out_of_memory_device",
    "trim_freed_memory",
]

MemoryDevice = Literal["host", "gpu"]

WRITING = "while writing "  # the note that `io.atomic.atomic_path` adds to an error
NUMBERED_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file exceeds the limit of file sizes (ulimit -f)",
}
if hasattr(errno, "EDQUOT"):  # not on Windows
    NUMBERED_DISK_ERRORS[errno.EDQUOT] = "the quota of the disk is used up"
# messages of libraries whose exceptions carry no errno
DISK_FULL_MESSAGES = ("No space left on device", "PytorchStreamWriter failed writing file")
HOST_MESSAGES = ("an't allocate memory", "annot allocate memory", "can't start new thread")
IMPORT_MESSAGES = (*HOST_MESSAGES, "failed to map segment")  # under a limit of address space
GPU_MESSAGES = ("out of memory", "_STATUS_ALLOC_FAILED")
GPU_FAILURE_MESSAGES = (
    "CUDA error",
    "CUDA driver error",
    "cuDNN error",
    "CUBLAS_STATUS",
    "CUFFT_STATUS",
)
OUT_OF_MEMORY: dict[MemoryDevice, str] = {
    "host": "out of memory; lower memory_budget, run fewer jobs at once (--cores), or give the job "
    "more memory",
    "gpu": "the GPU is out of memory; lower memory_budget and activations.batch_size or, for a "
    "steering job, restarts; or use device: cpu",
}
UNLOADABLE = (
    "out of memory while a library is loaded; give the process 4 GiB of memory and address space "
    "(ulimit -v)"
)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt, from malloc.h


def exhaustion_message(error: BaseException) -> str | None:
    """Return a one-line message for an error caused by a full disk, out of memory, files or GPU.

    The causes and contexts of the error are searched as well.

    Returns:
        What ran out and what to do; None for any other error.
    """
    for cause in _chain(error):
        if full := _disk_problem(cause):
            return _disk_message(full, error)
        if _errno(cause) in (errno.EMFILE, errno.ENFILE):
            return "too many open files; raise the limit (ulimit -n)"
        if isinstance(cause, ImportError) and _contains(cause, IMPORT_MESSAGES):
            return UNLOADABLE
        if device := _memory_device(cause):
            return OUT_OF_MEMORY[device]
        if isinstance(cause, RuntimeError) and _contains(cause, GPU_FAILURE_MESSAGES):
            first_line = str(cause).splitlines()[0]
            return f"the GPU failed ({first_line}); run again, or use device: cuda:N or cpu"
    return None


def out_of_memory_device(error: BaseException) -> MemoryDevice | None:
    """Return the device that ran out of memory, "host" or "gpu"; None for any other error."""
    return next((device for cause in _chain(error) if (device := _memory_device(cause))), None)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory: every forward pass allocates the same large blocks again."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def trim_freed_memory() -> None:
    """Make glibc return freed memory to the system, so that blocks of other sizes fit."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause or context, the cause of that, and so on."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__


def _contains(error: BaseException, messages: tuple[str, ...]) -> bool:
    return any(message in str(error) for message in messages)


def _memory_device(error: BaseException) -> MemoryDevice | None:
    """Return the device that ran out of memory, judged by this error alone."""
    if isinstance(error, MemoryError) or _errno(error) == errno.ENOMEM:
        return "host"
    if isinstance(error, RuntimeError):  # torch raises RuntimeError, for CUDA as well
        if _contains(error, HOST_MESSAGES):
            return "host"
        if _contains(error, GPU_MESSAGES):
            return "gpu"
    return None


def _disk_problem(error: BaseException) -> str | None:
    """Describe a full disk or an exhausted quota, judged by this error alone."""
    number = _errno(error) or (errno.ENOSPC if _contains(error, DISK_FULL_MESSAGES) else 0)
    return NUMBERED_DISK_ERRORS.get(number)


def _disk_message(problem: str, error: BaseException) -> str:
    """Name the output that was being written and the space that is free without it."""
    notes = [note for cause in _chain(error) for note in getattr(cause, "__notes__", [])]
    names = [note.removeprefix(WRITING) for note in notes if note.startswith(WRITING)]
    if not names:
        files = [cause.filename for cause in _chain(error) if isinstance(cause, OSError)]
        names = [file for file in files if file]
    cure = "make room and run again"
    if not names:
        return f"{problem}; {cure}"
    path = Path(str(names[-1]))  # the outermost
    existing = next((folder for folder in path.absolute().parents if folder.exists()), Path("/"))
    free = shutil.disk_usage(existing).free / 2**20
    return f"{path}: {problem}, with {free:.1f} MiB free after its removal; {cure}"


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None
