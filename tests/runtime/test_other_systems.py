"""The library imports and runs where `fcntl` and `/proc` are missing, as on macOS and Windows."""

import subprocess
import sys

SCRIPT = """
import builtins, importlib, io, os, pathlib, pkgutil, sys

sys.modules["fcntl"] = None  # importing it raises an ImportError
sys.modules["resource"] = None
del os.sched_getaffinity

def without_proc(original):
    def opened(path, *arguments, **named):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return original(path, *arguments, **named)
    return opened

builtins.open = io.open = without_proc(io.open)

import rosetta_core

LIBRARY = ["errors", "validation", "runtime", "io", "zoo", "mining", "training", "steering",
           "drawing", "pages"]
names = [
    module.name
    for module in pkgutil.walk_packages(rosetta_core.__path__, "rosetta_core.")
    if module.name.split(".")[1] in LIBRARY
]
for name in names:
    importlib.import_module(name)
import numpy as np
from rosetta_core.io.atomic import atomic_path
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.runtime.machine import describe_machine
from rosetta_core.runtime.memory import keep_freed_memory, trim_freed_memory

rng = np.random.default_rng(0)
f, g = (rng.standard_normal((5, 2, side, side)) for side in (3, 6))
corr = correlate(InMemoryActivations({"f": f}), InMemoryActivations({"g": g}))
assert corr.shape == (2, 2) and np.isfinite(corr).all()
with atomic_path(pathlib.Path(sys.argv[1]) / "file") as temporary:
    temporary.write_text("content")
keep_freed_memory()
trim_freed_memory()
assert describe_machine()["cores"] >= 1
print(len(names))
"""


def test_every_library_module_without_fcntl_and_proc(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100  # modules
    assert (tmp_path / "file").read_text() == "content"
