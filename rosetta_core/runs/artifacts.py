"""Artifacts of a run: files and stores that can be verified, deleted and regenerated alone.

Every artifact carries checksums: stores and job folders a file index, tables the SHA-256 of their
values, weights a record of their SHA-256.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_path
from rosetta_core.io.file_index import check_file_index
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.checksums import verify_weights
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = ["Artifact", "finished_job", "list_artifacts"]


@dataclass(frozen=True)
class Artifact:
    """One artifact of a run.

    Attributes:
        target: path that Snakemake is asked for to regenerate the artifact; of weights their file.
        parts: files and folders of the artifact in the run; empty for weights, which runs share.
        check: function that reads every byte; RosettaError if a part is missing or damaged.
    """

    target: Path
    parts: tuple[Path, ...]
    check: Callable[[], object]

    @property
    def size(self) -> int:
        """Size of all existing files of the artifact, in bytes."""
        files = [
            path
            for part in self.parts or (self.target,)
            for path in (part.rglob("*") if part.is_dir() else [part])
        ]
        sizes = [path.lstat() for path in files if path.is_file()]
        return sum(status.st_size for status in sizes)


def list_artifacts(config: Config, outputs: Iterable[Path]) -> list[Artifact]:
    """Return the artifacts of a run: weights first, then outputs in the order of the stages.

    Weights whose file does not exist are left out, since a moved run does not need them.

    Args:
        config: configuration of the run.
        outputs: verified outputs of its jobs, as stage records list them.
    """
    paths = list(outputs)
    manifests = {path for path in paths if path.suffix == ".json"}
    return [
        *_weights(config),
        *(_artifact(path, manifests) for path in paths if path not in manifests),
    ]


def finished_job(config: Config, name: str) -> Path:
    """Return the folder of a finished steering job.

    Raises:
        RosettaError: the configuration has no such job, or its folder is missing or damaged.
    """
    folder = RunPaths(config).job(config.steering.job(name))
    _check_job_folder(folder)
    return folder


def _check_store(path: Path, *, manifest: bool) -> None:
    from rosetta_core.io.stores.store import check_store  # zarr takes long to import

    check_store(path, manifest=manifest)


def _artifact(path: Path, manifests: set[Path]) -> Artifact:
    """Return the artifact at a path: a store, with or without manifest, a table or a folder."""
    manifest = manifest_path(path)
    if path.suffix == ".zarr" and manifest in manifests:
        return Artifact(manifest, (manifest, path), partial(_check_store, path, manifest=True))
    if path.suffix == ".zarr":
        return Artifact(path, (path,), partial(_check_store, path, manifest=False))
    if path.suffix == ".parquet":
        return Artifact(path, (path,), partial(read_table, path))
    return Artifact(path, (path,), partial(_check_job_folder, path))


def _weights(config: Config) -> list[Artifact]:
    """Return one artifact per existing weights file; models may share a file."""
    paths = RunPaths(config)
    artifacts: dict[Path, Artifact] = {}
    for model in config.models:
        path, weights = paths.weights(model), model.weights
        if path is not None and path.is_file() and isinstance(weights, StoredWeights):
            artifacts[path] = Artifact(path, (), partial(verify_weights, path, weights))
    return list(artifacts.values())


def _check_job_folder(folder: Path) -> None:
    """Check all files of a steering job's folder; RosettaError if one is missing or damaged."""
    cure = f"delete {folder} and run again" if folder.exists() else "run that job first"
    check_file_index(folder, cure=cure)
