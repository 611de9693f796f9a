"""Checks of files that are not repeated while the files stay the same."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from rosetta_core.io.cached_text import read_cached, write_cached

__all__ = ["check_once"]

Result = TypeVar("Result")  # JSON values


def check_once(
    files: Sequence[Path], check: Callable[[], Result], *, key: object, cache: Path
) -> Result:
    """Run a check unless it passed before on the same files, by path, size and time of change.

    Every start of Snakemake checks the configuration, on a cluster in every job; a check may take
    seconds, if only to import torch.

    Args:
        files: files that are checked.
        check: raises an error if a file is not as expected; returns JSON values.
        key: everything else that the check depends on, as JSON values; its code, for example.
        cache: folder of the records of passed checks; it may be read-only.

    Returns:
        Result of the check, now or when it passed.
    """
    states = [[str(file.absolute()), *_size_and_time(file)] for file in files]
    digest = sha256(json.dumps([states, key]).encode()).hexdigest()[:24]
    record = cache / f"{digest}.json"
    with suppress(ValueError, LookupError, TypeError, RecursionError):  # a damaged record
        if text := read_cached(record):
            return json.loads(text)["result"]
    result = check()
    write_cached(record, json.dumps({"files": len(files), "result": result}))
    return result


def _size_and_time(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
