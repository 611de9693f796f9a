"""Checks of files that are not repeated while the files stay the same."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from rosetta_core.io.atomic import atomic_path

__all__ = ["check_once"]


def check_once(
    files: Sequence[Path], check: Callable[[], object], *, key: Any, cache: Path
) -> None:
    """Run a check unless it passed before on the same files, by path, size and time of change.

    Every start of Snakemake checks the configuration, on a cluster in every job; a check may take
    seconds, if only to import torch.

    Args:
        files: files that are checked.
        check: raises an error if a file is not as expected.
        key: everything else that the check depends on, as JSON values; its code, for example.
        cache: folder of the records of passed checks.
    """
    states = [[str(file.absolute()), *_size_and_time(file)] for file in files]
    digest = sha256(json.dumps([states, key]).encode()).hexdigest()[:24]
    record = cache / f"{digest}.json"
    if record.is_file():
        return
    check()
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps({"files": len(files)}))


def _size_and_time(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
