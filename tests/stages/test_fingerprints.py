"""A stage's fingerprint covers all code that its jobs load, and changes with nothing else."""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT, Checkout, tiny

from rosetta_core.config import Config, load_config, parse_config
from rosetta_core.runtime import code_fingerprint as fingerprints
from rosetta_core.runtime.code_fingerprint import imported_modules, is_configuration
from rosetta_core.stages import triggers
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.stage import Job, Stage

ALL = ("steer", "sweep")
EVERYTHING = {"costs", "provenance"}  # list the jobs and record the code of all stages
STORES = {f"rosetta_core.io.stores{name}" for name in ("", ".layout", ".reader", ".store")}
# imports of functions that these jobs do not call
NOT_CALLED = {
    "correlations": {"rosetta_core.mining.sources.unit_table"},  # where no maps are stored
    "dictionary": {  # draws of null models, whose names and descriptions pages show
        "rosetta_core.mining.correlation",
        "rosetta_core.mining.correlation.moments",
        "rosetta_core.mining.sources",
        "rosetta_core.mining.sources.base",
        "rosetta_core.mining.sources.permuted",
        "rosetta_core.runtime.threads",
        "rosetta_core.zoo.layers",
    },
    "steer": {  # stores of other artifacts than a job's folder; a distance of other runs
        *STORES,
        "rosetta_core.steering.metrics.lpips",
        "rosetta_core.zoo.weights.connections",
        "rosetta_core.zoo.weights.download",
    },
    "steering_pages": STORES,
    "sweep": {  # what reads match sets, beside the sizes of image subsets
        "rosetta_core.mining.matching.best_buddies",
        "rosetta_core.mining.matching.concepts",
        "rosetta_core.mining.significance",
        "rosetta_core.mining.significance.split_half",
    },
}


def sample_jobs(config: Config) -> list[tuple[Stage, Job]]:
    """The first job of each stage; all where jobs load different code or the next needs all."""
    found = []
    for stage in STAGES.values():
        jobs = stage.jobs(config)
        found += [(stage, job) for job in (jobs if stage.name in ALL else jobs[:1])]
    return found


@pytest.fixture(scope="module")
def loaded(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> list:
    """Every stage with a job, the modules that it loaded, and those that configurations load."""
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
    config_modules, found = json.loads(done.stdout.splitlines()[-1])
    return [
        (stage, job, set(modules), set(config_modules))
        for (stage, job), (_, _, modules) in zip(jobs, found, strict=True)
    ]


def covered(stage: Stage, job: Job) -> set[str]:
    """The modules whose code is in the fingerprint of a job of the tiny run."""
    return imported_modules(*triggers.code_modules(stage, parse_config(tiny()), **job))


@pytest.mark.whole_run
def test_a_fingerprint_misses_no_module_that_its_job_loads(loaded: list) -> None:
    missing = {
        f"{stage.name} {dict(job)}": names
        for stage, job, modules, _ in loaded
        if (names := {m for m in modules - covered(stage, job) if not is_configuration(m)})
    }
    assert not missing


@pytest.mark.whole_run
def test_a_fingerprint_has_no_module_that_its_job_does_not_load(loaded: list) -> None:
    idle = {
        f"{stage.name} {dict(job)}": names
        for stage, job, modules, configuration in loaded
        if stage.name not in EVERYTHING
        and (
            names := covered(stage, job)
            - modules
            - configuration
            - NOT_CALLED.get(stage.name, set())
        )
    }
    assert not idle


@pytest.mark.whole_run
def test_a_changed_constant_in_a_module_reruns_the_stages_that_load_it(
    loaded: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each module in turn has one constant more."""
    shutil.copytree(ROOT / "rosetta_core", tmp_path / "rosetta_core")
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    config, read = parse_config(tiny()), fingerprints._read.__wrapped__
    jobs = [item for item in loaded if item[0].name not in EVERYTHING]
    unchanged = cache(read)
    monkeypatch.setattr(fingerprints, "_read", unchanged)
    before = [triggers.code(stage, config, **job) for stage, job, *_ in jobs]
    for path in sorted((tmp_path / "rosetta_core").rglob("*.py")):
        name = ".".join(path.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text()
        path.write_text(f"{text}\nANOTHER_CONSTANT = 1\n")
        changed = read(name)
        path.write_text(text)
        monkeypatch.setattr(
            fingerprints,
            "_read",
            lambda m: changed if m == name else unchanged(m),  # noqa: B023
        )
        for (stage, job, modules, configuration), old in zip(jobs, before, strict=True):
            if name in configuration or name in NOT_CALLED.get(stage.name, ()):
                continue
            reruns = triggers.code(stage, config, **job) != old
            assert reruns == (name in modules), (name, stage.name, job)
