"""A stage's fingerprint covers all code that its jobs load, and changes with nothing else."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, Checkout, tiny

from rosetta_core.config import Config, load_config, parse_config
from rosetta_core.runtime.code_fingerprint import imported_modules, is_configuration
from rosetta_core.stages import triggers
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.stage import Job, Stage

# what only an error or another kind of input makes a job import
SELDOM: dict[str, set[str]] = {}


def sample_jobs(config: Config) -> list[tuple[Stage, Job]]:
    """The first job of each stage, and of steering all."""
    found = []
    for stage in STAGES.values():
        jobs = stage.jobs(config)
        found += [(stage, job) for job in (jobs if stage.name == "steer" else jobs[:1])]
    return found


@pytest.fixture(scope="module")
def loaded(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> list:
    """Every stage with a job and the modules that it loaded, in a copy of the finished run."""
    folder = tmp_path_factory.mktemp("loaded") / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    config = load_config(folder / "tiny.yaml")
    jobs = sample_jobs(config)
    listed = json.dumps([[stage.module, dict(job)] for stage, job in jobs])
    done = subprocess.run(
        [sys.executable, ROOT / "tests/loaded_modules.py", "tiny.yaml", listed],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _, found = json.loads(done.stdout.splitlines()[-1])
    return [
        (stage, job, set(modules))
        for (stage, job), (_, _, modules) in zip(jobs, found, strict=True)
    ]


def covered(stage: Stage, job: Job) -> set[str]:
    """The modules whose code is in the fingerprint of a job of the tiny run."""
    return imported_modules(*triggers.code_modules(stage, parse_config(tiny()), **job))


def test_a_fingerprint_misses_no_module_that_its_job_loads(loaded: list) -> None:
    missing = {
        f"{stage.name} {dict(job)}": names
        for stage, job, modules in loaded
        if (names := {m for m in modules - covered(stage, job) if not is_configuration(m)})
    }
    assert not missing


def test_a_fingerprint_has_no_module_that_its_job_does_not_load(loaded: list) -> None:
    idle = {
        f"{stage.name} {dict(job)}": names
        for stage, job, modules in loaded
        if (names := covered(stage, job) - modules - SELDOM.get(stage.name, set()) - PACKAGES)
    }
    assert not idle


PACKAGES = {"rosetta_core"}
