"""A stage's fingerprint covers the code that its jobs load, and changes with nothing else.

Every stage runs once, in a process of its own, on a copy of the finished run. What that process
loaded of the package is compared with the modules whose code is in the stage's fingerprint.
"""

import json
import subprocess
import sys
from functools import cache

import pytest
from conftest import ROOT, Checkout, tiny

from rosetta_core.config import Config, load_config, parse_config
from rosetta_core.stages.registry import STAGES

NAMES = sorted(STAGES)
LOADED = """
import json, sys
from rosetta_core.config import load_config
from pathlib import Path
config = load_config(Path(sys.argv[1]))
before = {name for name in sys.modules if name.split(".")[0] == "rosetta_core"}
from importlib import import_module
stage = import_module(sys.argv[2]).STAGE
for job in json.loads(sys.argv[3]):
    stage.run(config, **job)
print(json.dumps(sorted(n for n in set(sys.modules) - before if n.split(".")[0] == "rosetta_core")))
"""


def first_jobs(name: str, config: Config) -> list[dict]:
    """One job of a stage or, of steering, one of each kind."""
    jobs = [dict(job) for job in STAGES[name].jobs(config)]
    return jobs if name == "steer" else jobs[:1]


@pytest.fixture(scope="module")
def loaded(finished: Checkout, tmp_path_factory: pytest.TempPathFactory):
    """Return the modules that a job loads beside the configuration, by stage and job."""
    import shutil

    folder = tmp_path_factory.mktemp("loaded") / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    config = load_config(folder / "results/tiny/config.yaml")

    @cache
    def of(name: str, job: str) -> frozenset[str]:
        done = subprocess.run(
            [sys.executable, "-c", LOADED, "results/tiny/config.yaml", STAGES[name].module, job],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return frozenset(json.loads(done.stdout.splitlines()[-1]))

    of.config = config
    return of


def stage_jobs() -> list[tuple[str, dict]]:
    config = parse_config(tiny(correlation={"blocks": 2}))
    return [(name, job) for name in NAMES for job in first_jobs(name, config) if name != "join"]
