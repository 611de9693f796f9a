"""What a job does when the disk, the memory or the card gives out.

exhaustion          an error as one line about what gave out, None for any other
out_of_memory       whether memory gave out, and where: "host" or "card"
with_less_memory    have a stage start over with half the memory, up to three times

Results do not depend on the memory that a job may take, but for the rounding of sums: units whose
correlations are closer than 1e-6 may change places. Nothing here imports torch.
"""

import errno
import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from rosetta_core.config import Config
from rosetta_core.config.sections import GPU_BATCH
from rosetta_core.runtime.freed_memory import give_freed_memory
from rosetta_core.runtime.progress import log
from rosetta_core.validation import parse_bytes

__all__ = ["exhaustion", "out_of_memory", "retry_with_less_memory"]

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")
Where = Literal["host", "card"]

TIMES = 3
WRITING = "while writing "  # a note that `files.whole` makes on an error
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of the disk is used up"}
# what libraries say whose errors have no number
SAID_FULL = ("No space left on device", "PytorchStreamWriter failed writing file")
SAID_HOST = ("an't allocate memory", "annot allocate memory", "can't start new thread")
SAID_CARD = ("out of memory", "_STATUS_ALLOC_FAILED")
SAID_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "CUFFT_STATUS")
OUT_OF_MEMORY: dict[Where, str] = {
    "host": "out of memory; lower memory_budget, run fewer jobs at once (--cores), or give the job "
    "more memory",
    "card": "the GPU is out of memory; lower memory_budget and activations.batch_size or, of a "
    "steering job, starts; or give device: cpu",
}


def exhaustion(error: BaseException) -> str | None:
    """Return what gave out and what to do, in one line; None if nothing did.

    An error that was raised on account of another counts as that one.
    """
    for one in _chain(error):
        if full := _full(one):
            return _of_disk(full, error)
        if where := _where(one):
            return OUT_OF_MEMORY[where]
        if isinstance(one, RuntimeError) and any(said in str(one) for said in SAID_LOST):
            first = str(one).splitlines()[0]
            return f"the GPU failed ({first}); run again, with device: cuda:N on another, or cpu"
    return None


def out_of_memory(error: BaseException) -> Where | None:
    """Return where memory gave out; None if an error is about something else."""
    return next((where for one in _chain(error) if (where := _where(one))), None)


def retry_with_less_memory(
    stage: Callable[Concatenate[Config, Parameters], Result],
) -> Callable[Concatenate[Config, Parameters], Result]:
    """Have a stage that runs out of memory start over with half of it, up to three times."""

    @wraps(stage)
    def run(config: Config, *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        for _ in range(TIMES):
            try:
                return stage(config, *arguments, **named)
            except Exception as error:
                where = out_of_memory(error)
                if where is None:
                    raise
            config = _less(config, where)  # the error is gone, and with it what its frames held
            log.warning(
                "out of memory; starting over with a memory_budget of %s", config.memory_budget
            )
            _let_go()
        return stage(config, *arguments, **named)

    return run


def _less(config: Config, where: Where) -> Config:
    """The same run with half the memory and, on a card, half the images per forward pass."""
    half = max(1, parse_bytes(config.memory_budget) // 2**21)
    changes: dict[str, Any] = {"memory_budget": f"{half} MiB"}
    if where == "card":
        batch = max(1, (config.activations.batch_size or GPU_BATCH) // 2)
        changes["activations"] = config.activations.model_copy(update={"batch_size": batch})
    return config.model_copy(update=changes)


def _let_go() -> None:
    """Free what the failed attempt held, on the card too."""
    gc.collect()
    give_freed_memory()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised on account of, and so on."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__


def _where(error: BaseException) -> Where | None:
    """Where memory gave out, by this error alone."""
    if isinstance(error, MemoryError) or _errno(error) == errno.ENOMEM:
        return "host"
    if isinstance(error, RuntimeError):  # as those of torch are, CUDA's among them
        if any(said in str(error) for said in SAID_HOST):
            return "host"
        if any(said in str(error) for said in SAID_CARD):
            return "card"
    return None


def _full(error: BaseException) -> str | None:
    """What of a disk gave out, by this error alone."""
    said = any(said in str(error) for said in SAID_FULL)
    return FULL.get(_errno(error) or (errno.ENOSPC if said else 0))


def _of_disk(full: str, error: BaseException) -> str:
    """Name the output that was being written, and what room there is without it."""
    notes = [note for one in _chain(error) for note in getattr(one, "__notes__", [])]
    names = [note.removeprefix(WRITING) for note in notes if note.startswith(WRITING)]
    if not names:
        files = [one.filename for one in _chain(error) if isinstance(one, OSError)]
        names = [file for file in files if file]
    cure = "make room and run again"
    if not names:
        return f"{full}; {cure}"
    path = Path(str(names[-1]))  # the outermost
    there = next((folder for folder in path.absolute().parents if folder.exists()), Path("/"))
    room = shutil.disk_usage(there).free / 2**20
    return f"{path}: {full}, with {room:.1f} MiB free when nothing is left of it; {cure}"


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None
