"""Artifacts of a run: files and stores that can be verified, deleted and regenerated alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_of
from rosetta_core.io.file_index import check_contents
from rosetta_core.io.tables import read_table
from rosetta_core.io.zarr_store import check_store
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.checksums import record_path, verify_weights
from rosetta_core.zoo.weights.sources import RemoteWeights, StoredWeights

__all__ = ["Artifact", "artifacts_of"]


@dataclass(frozen=True)
class Artifact:
    """A piece of a run.

    Attributes:
        target: what the workflow is asked for to make it again.
        parts: the files and folders that it is; empty of what the workflow doesn't make.
        check: RosettaError if it is missing or damaged; every byte is read.
        size: in bytes.
    """

    target: Path
    parts: tuple[Path, ...]
    check: Callable[[], object]

    @property
    def size(self) -> int:
        """Bytes of all its files that are there."""
        files = [
            path
            for part in self.parts or (self.target,)
            for path in (part.rglob("*") if part.is_dir() else [part])
        ]
        return sum(path.stat().st_size for path in files if path.is_file())


def artifacts_of(config: Config, outputs: Iterable[Path]) -> list[Artifact]:
    """Return the artifacts of a run, in the order in which they are made.

    Weights are among them where their file exists: a run that was moved does without.

    Args:
        config: configuration of the run.
        outputs: verified outputs of its jobs, as stage records list them.
    """
    paths = list(outputs)
    manifests = {path for path in paths if path.suffix == ".json"}
    stores = [path for path in paths if path not in manifests]
    return [*_weights(config), *(_artifact(path, manifests) for path in stores)]


def _artifact(path: Path, manifests: set[Path]) -> Artifact:
    """Return the artifact at a path: a store, with or without manifest, a table or a folder."""
    manifest = manifest_of(path)
    if path.suffix == ".zarr" and manifest in manifests:
        return Artifact(manifest, (manifest, path), partial(check_store, path, manifest=True))
    if path.suffix == ".zarr":
        return Artifact(path, (path,), partial(check_store, path, manifest=False))
    if path.suffix == ".parquet":
        return Artifact(path, (path,), partial(read_table, path))
    return Artifact(path, (path,), partial(_check_job, path))


def _weights(config: Config) -> list[Artifact]:
    """The files of weights that are there, each once."""
    paths, found = RunPaths(config), {}
    for model in config.models:
        path, weights = paths.weights(model), model.weights
        if path is not None and path.is_file() and isinstance(weights, StoredWeights):
            parts = (path, record_path(path)) if isinstance(weights, RemoteWeights) else ()
            found[path] = Artifact(path, parts, partial(verify_weights, path, weights))
    return list(found.values())


def _check_job(folder: Path) -> None:
    there = folder.exists()
    cure = f"delete {folder} and run again" if there else "run that job"
    check_contents(folder, cure=cure)
