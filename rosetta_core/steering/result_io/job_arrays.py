"""The arrays in the folder of a steering job.

read_arrays    those of a file
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError

__all__ = ["read_arrays"]


def read_arrays(path: Path) -> dict[str, NDArray]:
    """Read all arrays of a `.npz` by their names; RosettaError if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise RosettaError(f"{path}: is missing or damaged; run that job first") from error
