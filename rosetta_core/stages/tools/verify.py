"""Verification of all artifacts of a finished run."""

from dataclasses import dataclass
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import delete_path, manifest_path
from rosetta_core.runs.paths import RunPaths

__all__ = ["Verification", "verify_run"]


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        artifacts: number of artifacts that were checked.
        bytes: their size.
        problems: one line per damaged, missing or outdated artifact.
        targets: paths of deleted artifacts that Snakemake can regenerate.
    """

    artifacts: int
    bytes: int
    problems: list[str]
    targets: list[Path]


def verify_run(config: Config, *, delete: bool = False) -> Verification:
    """Read every artifact of a run and report those that are missing, damaged or outdated.

    Images and activation maps are outdated if the weights of their model are other ones now.

    Args:
        config: configuration of the run.
        delete: delete damaged artifacts that Snakemake can regenerate; the user's own files and
            files of this package are left alone.
    """
    from rosetta_core.runs.artifacts import list_artifacts
    from rosetta_core.runs.weights import find_stale_stores
    from rosetta_core.runtime.progress import Progress
    from rosetta_core.stages.registry import jobs_of

    paths = RunPaths(config)
    outputs = [
        path
        for stage, job in jobs_of(config)
        if stage.verified
        for path in stage.writes(paths, job)
    ]
    artifacts = list_artifacts(config, outputs)
    sizes = [artifact.size for artifact in artifacts]
    problems, targets = [], []
    with Progress(f"verifying {config.run}", total=sum(sizes), unit="bytes") as progress:
        for artifact, size in zip(artifacts, sizes, strict=True):
            try:
                artifact.check()
            except (RosettaError, OSError) as error:
                problems.append(str(error))
                if delete and artifact.parts:
                    for part in artifact.parts:
                        delete_path(part)
                    targets.append(artifact.target)
            progress.advance(size)
    for stale in find_stale_stores(config):
        problems.append(str(stale))
        if delete:
            for part in (manifest_path(stale.store), stale.store):
                delete_path(part)
            targets.append(manifest_path(stale.store))
    return Verification(len(artifacts), sum(sizes), problems, targets)
