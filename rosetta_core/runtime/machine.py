"""What this machine is.

machine      its name, processor, cores, system and cards
processor    the name of its processor
abilities    what its processor can do
said         the lines that a command says
"""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["abilities", "machine", "processor", "said"]


def machine() -> dict[str, Any]:
    """Return the name, processor, cores, system and cards of this machine, as JSON has them."""
    return {
        "name": platform.node(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cards": said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
    }


def processor() -> str:
    """Return the name of the processor, as the kernel says it."""
    names = _said_of_it("model name")
    return names[0] if names else platform.processor() or platform.machine()


def abilities() -> frozenset[str]:
    """Return what the processor can do in the kernel's words, as avx512f; nothing if it says none.

    /proc/cpuinfo of Linux: `flags` of x86, `Features` of ARM.
    """
    said = _said_of_it("flags") or _said_of_it("Features")
    return frozenset(said[0].split()) if said else frozenset()


def _said_of_it(key: str) -> list[str]:
    """What the kernel says of every core."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]


def said(*command: str) -> list[str]:
    """Return the lines that a command says, none if there is no such command or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
