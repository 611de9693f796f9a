"""Folders that are read-only for every user, as on a disk mounted without write access."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["read_only"]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount an existing folder read-only onto itself; skip the test where this is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a folder read-only")
    bound = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bound.returncode:
        pytest.skip(f"no folder can be mounted here: {bound.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
