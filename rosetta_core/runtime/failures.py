"""Errors as one line and an exit code, for the command line and the workflow.

Covered are invalid input, exhausted resources, paths that cannot be used and damaged installations.
Any other exception is an error of this package, whose traceback is needed. This module does not
import torch.
"""

import errno

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.memory import exhaustion_message

__all__ = ["EXHAUSTED", "INVALID", "TERMINATED", "explain_failure"]

EXHAUSTED = 1  # exit code when disk, memory, GPU or installation fail
INVALID = 2  # exit code of invalid input
TERMINATED = 143  # exit code after SIGTERM, 128 + 15
UNUSABLE = (  # errors of a path that the user gave
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)


def explain_failure(error: BaseException) -> tuple[str, int] | None:
    """Return the line and the exit code of an error; None if only a traceback explains it."""
    if message := exhaustion_message(error):
        return message, EXHAUSTED
    if isinstance(error, RosettaError):
        return str(error), INVALID
    if isinstance(error, OSError) and error.filename and error.errno in UNUSABLE:
        return f"{error.filename}: cannot be used: {error.strerror}", INVALID
    if isinstance(error, ImportError):
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return (
            f"installation: a library cannot be loaded ({lines[0].rstrip('.')}); reinstall rosetta "
            "and its dependencies",
            EXHAUSTED,
        )
    return None
