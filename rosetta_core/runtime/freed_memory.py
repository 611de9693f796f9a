"""What becomes of freed memory.

keep_freed_memory     have glibc keep it for the next blocks of the same size
give_freed_memory     have it give back what it kept
"""

import contextlib
import ctypes

__all__ = ["give_freed_memory", "keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> None:
    """Have glibc keep freed memory: each pass of a network asks for the same large blocks again."""
    with contextlib.suppress(AttributeError, OSError):  # another libc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_freed_memory() -> None:
    """Have glibc give back all that is free, to begin anew with other sizes."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
