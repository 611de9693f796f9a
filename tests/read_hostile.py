"""Script that reads hostile files, one folder per reader, with little memory; run by a test.

It prints one line of JSON per file: the outcome, the CPU time, and the audit events of the
interpreter meanwhile (import, compile, exec, subprocess, write).
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.pickles.networks import read_pickled_data, read_pickled_network

HARMLESS = ("builtins.id", "object.__getattr__", "sys._getframe", "mmap.__new__")
HEADROOM = 512 * 2**20  # bytes of memory above what an idle reader has

READERS = (read_pickled_network, read_pickled_data)

events: list[str] = []


def hear(event: str, details: tuple[Any, ...]) -> None:
    reads = event == "open" and "w" not in str(details[1]) and "a" not in str(details[1])
    if not reads and event not in HARMLESS:
        events.append(event)


def outcome(reader: Callable[[Path], Any], path: Path) -> str:
    try:
        reader(path)
    except RosettaError as error:
        return str(error)
    except BaseException as error:  # the test says that there is none
        return f"raised {error!r:.300}"
    return "read"


def main(folder: Path) -> None:
    work = [(x, path) for x in READERS for path in sorted((folder / x.__name__).iterdir())]
    for reader, path in work[:50]:  # what is imported late is imported now
        outcome(reader, path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, resource.RLIM_INFINITY))
    sys.addaudithook(hear)
    for reader, path in work:
        events.clear()
        start = time.process_time()
        said = outcome(reader, path)
        seconds = time.process_time() - start
        ran = events + [name for name in os.environ if name.startswith("HOSTILE")]
        place = f"{reader.__name__}/{path.stem}"
        print(json.dumps({"place": place, "said": said, "seconds": seconds, "ran": ran}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
