"""Description of this machine: name, processor, cores, system and GPUs.

Details that only Linux provides, in `/proc/cpuinfo`, are left out on other systems.
"""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["command_output", "cpu_flags", "cpu_name", "describe_machine"]


def describe_machine() -> dict[str, Any]:
    """Return the name, processor, cores, system and GPUs of this machine, as JSON values."""
    return {
        "name": platform.node(),
        "processor": cpu_name(),
        "cores": _usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cards": command_output(
            "nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"
        ),
    }


def cpu_name() -> str:
    """Return the name of the processor."""
    names = _cpuinfo("model name")
    return names[0] if names else platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the processor, for example avx512f; empty if unknown.

    They are the entries `flags` (x86) or `Features` (ARM) of `/proc/cpuinfo`.
    """
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return frozenset(flags[0].split()) if flags else frozenset()


def command_output(*command: str) -> list[str]:
    """Return the output lines of a command; empty if it does not exist or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(key: str) -> list[str]:
    """Return an entry of `/proc/cpuinfo` for each core; empty if there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
