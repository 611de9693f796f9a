"""Folder and configuration of a finished run, which may have been moved or copied."""

import os
from pathlib import Path
from typing import Any

from rosetta_core.config import Config, load_config
from rosetta_core.errors import RosettaError, did_you_mean, one_line
from rosetta_core.io.regular_files import open_regular
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.local import FileWeights

__all__ = ["relocated_config", "run_config", "run_folder"]

MAX_CONFIG = 4 * 2**20  # bytes
MAX_SHARDS = 100_000


def relocated_config(path: str | Path) -> Config:
    """Return the configuration of the finished run in a folder, with absolute paths.

    Raises:
        RosettaError: the folder is not a finished run.
    """
    folder = run_folder(path)
    return _relocate(_load(folder), folder)


def run_config(path: str | Path) -> Config:
    """Return the configuration of the finished run in a folder.

    Paths in it are as configured or, if the run was moved or copied, adapted to its folder.

    Raises:
        RosettaError: the folder is not a finished run.
    """
    folder = run_folder(path)
    config = _load(folder)
    return config if RunPaths(config).run.resolve() == folder else _relocate(config, folder)


def run_folder(path: str | Path) -> Path:
    """Return the resolved folder of a finished run; RosettaError if it is not one."""
    if not isinstance(path, str | Path):
        raise RosettaError(f"run: {type(path).__name__} is not a path; give the folder of a run")
    try:
        folder = Path(path).expanduser().resolve()
        missing = [
            part
            for part, kind in (("config.yaml", Path.exists), ("tables", Path.is_dir))
            if not kind(folder / part)
        ]
    except (OSError, RuntimeError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(
            f"{path}: not a finished run ({reason}); give a run folder, for example results/faces"
        ) from error
    if missing:
        runs = [tables.parent.name for tables in folder.parent.glob("*/tables")]
        reason = f"{missing[0]} is missing" if folder.is_dir() else "the folder does not exist"
        raise RosettaError(
            f"{path}: not a finished run ({reason}); give a run folder, for example results/faces"
            f"{did_you_mean(folder.name, runs)}"
        )
    return folder


def _load(folder: Path) -> Config:
    """Read the configuration of a run, which may come from others."""
    path = folder / "config.yaml"
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RosettaError(
            f"{path}: cannot be read ({one_line(error.strerror or error)}); give a finished run"
        ) from error
    if size > MAX_CONFIG:
        raise RosettaError(f"{path}: {size:,} bytes are too many; give a finished run")
    config = load_config(path)
    shards = -(-config.sampling.images // config.sampling.shard_size)
    if shards > MAX_SHARDS:
        raise RosettaError(
            f"{path}: {shards:,} shards are more than {MAX_SHARDS:,}; give a finished run"
        )
    return config


def _relocate(config: Config, folder: Path) -> Config:
    """Return the configuration of a run that was moved to `folder`, with paths adapted."""
    models = {model.name: model for model in config.models}
    for name, model in models.items():
        changed: dict[str, Any] = {}
        if isinstance(model.weights, FileWeights):
            file = {"file": _resolve(model.weights.file, folder)}
            changed["weights"] = model.weights.model_copy(update=file)
        code, _, function = (model.target or "").rpartition(":")
        if code.endswith(".py"):
            changed["target"] = f"{_resolve(code, folder)}:{function}"
        models[name] = model.model_copy(update=changed)
    return config.model_copy(
        update={
            "results": str(folder.parent),
            "run": folder.name,
            "resources": _resolve(config.resources, folder),
            "pivot": models[config.pivot.name],
            "encoders": [models[encoder.name] for encoder in config.encoders],
        }
    )


def _resolve(path: str, folder: Path) -> str:
    """Return a configured path as an absolute one.

    It is resolved from the working directory or, if nothing exists there, from the folder that
    contains the folder of results.
    """
    local, moved = Path(path).absolute(), folder.parent.parent / path
    return str(moved if moved.exists() and not local.exists() else local)
