"""Checkpoints of long jobs: written atomically, verified by checksum when they are loaded.

A file is what `torch.save` writes, followed by its CRC32C; torch itself misses most flipped bits.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import torch

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path

__all__ = ["load_state", "save_state"]

CHECKSUM_BYTES = 4  # of a CRC32C, at the end of a file


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to a file, replacing it if it exists."""
    content = BytesIO()
    torch.save(state, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue() + _checksum(content.getvalue()))


def load_state(path: Path) -> dict[str, Any]:
    """Load what `save_state` wrote; tensors are on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        RosettaError: the file was changed.
    """
    content = path.read_bytes()
    state: object = None
    if _checksum(content[:-CHECKSUM_BYTES]) == content[-CHECKSUM_BYTES:]:
        body = BytesIO(content[:-CHECKSUM_BYTES])
        state = torch.load(body, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise RosettaError(f"{path}: cannot be read; delete it to start from the beginning")
    return state


def _checksum(content: bytes) -> bytes:
    return google_crc32c.value(content).to_bytes(CHECKSUM_BYTES, "little")
