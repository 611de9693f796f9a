"""The stage that records versions, weights, seeds and the machine of a run."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, job_name, once

__all__ = ["STAGE", "run"]


def run(config: Config) -> Path:
    """Write code, libraries, weights, artifacts, seeds and machine of a run; return the file."""
    from rosetta_core.runs.provenance.record import describe_provenance, write_provenance
    from rosetta_core.stages.registry import jobs_of
    from rosetta_core.stages.triggers import code

    fingerprints: dict[str, dict[str, str]] = {}
    for stage, job in jobs_of(config):
        name = " ".join([stage.name, *job_name(job)])
        fingerprints.setdefault(stage.name, {})[name] = code(stage, config, **job)
    paths = RunPaths(config)
    outputs = [path for stage, job in jobs_of(config) for path in stage.writes(paths, job)]
    content = describe_provenance(config, code=_by_stage(fingerprints), outputs=outputs)
    write_provenance(paths.provenance, content)
    return paths.provenance


def _by_stage(fingerprints: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return one fingerprint per stage or, where its jobs differ, one per job."""
    merged: dict[str, str] = {}
    for stage, jobs in fingerprints.items():
        merged |= jobs if len(set(jobs.values())) > 1 else {stage: next(iter(jobs.values()))}
    return merged


STAGE = Stage(
    "provenance",
    "record versions, weights, seeds and machine of a run",
    run,
    jobs=once,
    writes=lambda paths, job: [paths.provenance],
    modules=lambda config: ["rosetta_core.zoo.model_info"],  # which jobs there are
    measured=False,
    verified=False,
)
