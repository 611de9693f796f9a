"""Digests of the weights of a run, and stores that were computed with other weights.

The manifests of images and activation maps have the SHA-256 of the weights that computed them;
where no maps are stored, the tables of units have it. A file may be exchanged for an older one,
whose modification time Snakemake does not notice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_path
from rosetta_core.io.checked_files import check_once
from rosetta_core.io.strict_json import read_json
from rosetta_core.io.tables import read_weights_digest
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.shards import weights_digest, weights_files

__all__ = ["StaleStore", "find_stale_stores", "model_digest", "stale_stores"]


@dataclass(frozen=True)
class StaleStore:
    """A store that was computed with other weights than the model has now.

    Attributes:
        model: model that computed it.
        store: path of the store, or of the table of units.
        before: SHA-256 of the weights then.
        now: SHA-256 of the weights now.
        saved: whether the run is a saved result, which cannot be run again.
    """

    model: ModelSpec
    store: Path
    before: str
    now: str
    saved: bool = False

    def __str__(self) -> str:
        again = "mine again" if self.saved else f"delete {self.target} and run again"
        return (
            f"{self.store}: was computed with other weights of {self.model.name} (SHA-256 "
            f"{self.before[:12]}…, now {self.now[:12]}…); put the former file back, or {again}"
        )

    @property
    def target(self) -> Path:
        """File that Snakemake makes again if it is missing."""
        return self.parts[0]

    @property
    def parts(self) -> tuple[Path, ...]:
        """Files and folders to delete: a table, or a manifest and its store."""
        return (self.store,) if _is_table(self.store) else (manifest_path(self.store), self.store)


def model_digest(model: ModelSpec, paths: RunPaths, *, remember: bool = True) -> str | None:
    """Return the SHA-256 of a model's weights; None if they are not in a file that is there.

    Args:
        model: model of the run.
        paths: paths of the run.
        remember: keep digests in `resources` until a file changes, by its size and times.

    Raises:
        RosettaError: the weights are an index of files that is damaged or incomplete.
    """
    path = paths.weights(model)
    if path is None or not path.exists():
        return None
    if not remember:
        return weights_digest(path) if path.is_file() else None
    files = weights_files(path)
    return check_once(
        files,
        partial(weights_digest, path),
        key=["sha256", *(file.stat().st_ctime_ns for file in files)],  # a copy may keep its mtime
        cache=paths.resources / "checked",
    )


def find_stale_stores(config: Config) -> Iterator[StaleStore]:
    """Yield the stores of a run that were computed with other weights; missing files are left out.

    Raises:
        RosettaError: the weights of a model are an index of files that is damaged or incomplete.
    """
    for model in config.models:
        yield from stale_stores(config, model)


def stale_stores(
    config: Config, model: ModelSpec, *, remember: bool = True
) -> Iterator[StaleStore]:
    """Yield the stores of a model that were computed with other weights.

    Args:
        config: configuration of the run.
        model: model of the run.
        remember: keep digests of weights in `resources`, see `model_digest`.

    Raises:
        RosettaError: the weights are an index of files that is damaged or incomplete.
    """
    paths = RunPaths(config)
    stores = [paths.units(model.name)]
    if config.stores_activations:
        stores = [paths.activations(model.name, shard) for shard in config.shards]
    if model == config.pivot and config.sampling.folder is None:
        stores = paths.sample_stores + stores
    digests = {store: before for store in stores if (before := _digest_of(store))}
    now = model_digest(model, paths, remember=remember) if digests else None
    for store, before in digests.items():
        if now and before != now:
            yield StaleStore(model, store, before, now, saved=config.origin == "memory")


def _is_table(path: Path) -> bool:
    """Return whether a path is that of a table, not of a store."""
    return path.suffix == ".parquet"


def _digest_of(store: Path) -> str | None:
    """Return the digest in a store's manifest, or in a table; None if it cannot be read."""
    if _is_table(store):
        return read_weights_digest(store) if store.is_file() else None
    try:
        digest = read_json(manifest_path(store)).get("weights")
    except (OSError, ValueError, AttributeError):
        return None
    return digest if isinstance(digest, str) else None
