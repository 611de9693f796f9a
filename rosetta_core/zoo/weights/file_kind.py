"""Which kind of file weights are in, by what is in it: names and suffixes don't count.

kind_of    safetensors, torch or pickle
"""

import pickletools
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from rosetta_core.errors import RosettaError

__all__ = ["kind_of"]

LEGACY_TORCH = 0x1950A86A20F9469CFC6C  # torch.save before 1.6 begins with this number, pickled
PICKLE = b"\x80"  # the opcode PROTO, which begins every pickle since protocol 2


def kind_of(path: Path) -> Literal["safetensors", "torch", "pickle"]:
    """Return in which kind of file weights are.

    A safetensors file begins with the length of its header (8 bytes, the lowest first) and the
    header, which is JSON. What torch.save writes is a zip file with data.pkl in it, or of old a
    pickle of a number that no other pickle begins with. Nothing is loaded or run.

    Raises:
        RosettaError: there is no such file, or it is of no such kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(256)
        if len(head) > 8 and head[8:9] == b"{" and _length(head) <= path.stat().st_size - 8:
            return "safetensors"
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(Path(name).name == "data.pkl" for name in archive.namelist()):
                    return "torch"
    except (OSError, zipfile.BadZipFile) as error:
        raise RosettaError(f"{path}: can't be read as weights ({error})") from error
    if head.startswith(PICKLE):
        return "torch" if LEGACY_TORCH in _first_values(head) else "pickle"
    raise RosettaError(
        f"{path}: cannot be read as weights (it is neither safetensors nor written by torch.save "
        "nor a pickle)"
    )


def _length(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _first_values(head: bytes) -> Iterator[object]:
    """What the first operations of a pickle are about."""
    try:
        for _, value, _ in islice(pickletools.genops(head), 3):  # PROTO, maybe FRAME, a number
            yield value
    except ValueError:  # the head ends within an operation
        return
