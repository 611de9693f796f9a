"""The pieces of a run, each of which can be checked, deleted and made again by itself.

Piece        a store, a table, a file of weights, the folder of a job
pieces_of    all of a run
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_of
from rosetta_core.io.file_index import check_contents
from rosetta_core.io.tables import read_table
from rosetta_core.io.zarr_store import check_store
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.checksums import record_of, verify_weights
from rosetta_core.zoo.weights.sources import Fetched, FromFile

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


def artifacts_of(config: Config) -> list[Artifact]:
    """Return the pieces of a run, in the order in which they are made.

    Weights are among them where they are there: a run that was moved does without.
    """
    paths, shards = RunPaths(config), config.shards
    names = [model.name for model in config.models]
    stores = [paths.samples(shard) for shard in shards]
    if config.mining.store == "zarr":
        stores += [paths.activations(name, shard) for name in names for shard in shards]
    made = [paths.correlations(name) for name in names]
    made += [*(paths.unit_examples(name) for name in names), paths.concept_examples]
    tables = [paths.units(name) for name in names]
    tables += [paths.neighbours(name) for name in names]
    tables += [paths.best_buddies(name) for name in names]
    tables += [paths.rosetta, paths.concepts]
    tables += [paths.selectivity, paths.layers, paths.vargha_delaney]
    for null in config.nulls:
        encoders = [encoder.name for encoder in config.encoders]
        tables += [
            table(null, e) for table in (paths.null_matches, paths.null_corr) for e in encoders
        ]
    if config.intervals:
        tables.append(paths.pair_statistics)
    tables += paths.significance
    jobs = [paths.job(job) for job in config.steering.jobs.values()]
    return [
        *_weights(config),
        *(
            Artifact(
                target=manifest_of(store),
                parts=(manifest_of(store), store),
                check=partial(check_store, store, manifest=True),
            )
            for store in stores
        ),
        *(Artifact(store, (store,), partial(check_store, store, manifest=False)) for store in made),
        *(Artifact(table, (table,), partial(read_table, table)) for table in tables),
        *(Artifact(job, (job,), partial(_check_job, job)) for job in jobs),
    ]


def _weights(config: Config) -> list[Artifact]:
    """The files of weights that are there, each once."""
    paths, found = RunPaths(config), {}
    for model in config.models:
        path, weights = paths.weights(model), model.weights
        if path is not None and path.is_file() and isinstance(weights, FromFile):
            parts = (path, record_of(path)) if isinstance(weights, Fetched) else ()
            found[path] = Artifact(path, parts, partial(verify_weights, path, weights))
    return list(found.values())


def _check_job(folder: Path) -> None:
    there = folder.exists()
    cure = f"delete {folder} and run again" if there else "run that job"
    check_contents(folder, cure=cure)
