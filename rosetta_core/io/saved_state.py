"""The state of long work on disk, for whoever goes on with it: whole, and with its checksum.

save_state    tensors and plain values into a file
load_state    read them; RosettaError if the file was changed

torch's own reader notices few of the bits that flip.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import torch

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path

__all__ = ["load_state", "save_state"]

CHECKSUM = 4  # bytes of a crc32c, the last of a file


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, in place of what stood there."""
    content = BytesIO()
    torch.save(state, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue() + _checksum(content.getvalue()))


def load_state(path: Path) -> dict[str, Any]:
    """Read a state onto the CPU; FileNotFoundError if there is none, RosettaError if it broke."""
    content = path.read_bytes()
    state: object = None
    if _checksum(content[:-CHECKSUM]) == content[-CHECKSUM:]:
        state = torch.load(BytesIO(content[:-CHECKSUM]), map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise RosettaError(f"{path}: can't be read; delete it to begin anew")
    return state


def _checksum(content: bytes) -> bytes:
    return google_crc32c.value(content).to_bytes(CHECKSUM, "little")
