"""Which modules of the package each job of a run loads, as JSON on standard output.

`python tests/loaded_modules.py CONFIG JOBS`: JOBS is a JSON list of [module of the stage, job].
Libraries are imported once; every job then runs in a fork, in which nothing of the package but the
configuration has been imported.
"""

import importlib
import json
import os
import sys
from pathlib import Path

LIBRARIES = [
    "matplotlib",
    "pandas",
    "pyarrow",
    "scipy.stats",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "zarr",
]
PACKAGE = "rosetta_core"


def loaded() -> set[str]:
    """Modules of the package that this process has imported."""
    return {name for name in sys.modules if name.split(".")[0] == PACKAGE}


def run(module: str, config: object, job: dict, pipe: int) -> None:
    """Run a job and write the modules that it imported."""
    before = loaded()
    importlib.import_module(module).STAGE.run(config, **job)
    with os.fdopen(pipe, "w") as file:
        json.dump(sorted(loaded() - before), file)


def main() -> None:
    """Run every job in a fork."""
    for library in LIBRARIES:
        importlib.import_module(library)
    from rosetta_core.config import load_config  # noqa: PLC0415

    config = load_config(Path(sys.argv[1]))
    found = []
    for module, job in json.loads(sys.argv[2]):
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            code = 1
            try:
                run(module, config, job, writing)
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading) as file:
            text = file.read()
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"{module} {job}: failed")
        found.append([module, job, json.loads(text)])
    json.dump([sorted(loaded()), found], sys.stdout)


if __name__ == "__main__":
    main()
