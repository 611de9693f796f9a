"""Provenance of a run: code, libraries, weights, seeds and machine, as JSON values."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.runs.paths import PACKAGE, RunPaths, weights_file
from rosetta_core.runtime.machine import command_output, describe_machine
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["describe_provenance", "read_provenance"]


def describe_provenance(config: Config, *, code: Mapping[str, str]) -> dict[str, Any]:
    """Return the provenance of a run that is being finished; config.yaml has its configuration.

    Args:
        config: configuration of the run.
        code: fingerprints of the code of its jobs, by stage and, where they differ, by job.
    """
    resources = RunPaths(config).resources
    return {
        "run": config.run,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "rosetta": {"version": version("rosetta-core"), **_commit(PACKAGE)},
        "machine": describe_machine(),
        "device": config.device,
        "seed": config.sampling.seed,
        "libraries": _library_versions(),
        "code": dict(code),
        "weights": {model.name: _describe_weights(model, resources) for model in config.models},
    }


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of a finished run; empty if the run has none.

    Raises:
        RosettaError: the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: cannot be read; delete it and run again") from error


def _commit(folder: Path) -> dict[str, Any]:
    """Return the Git commit of the code and whether files differ from it; empty without Git."""
    git = ("git", "-C", str(folder))
    commit = command_output(*git, "rev-parse", "HEAD")
    changed = command_output(*git, "status", "--porcelain", "--", str(folder))
    return {"commit": commit[0], "changed": bool(changed)} if commit else {}


def _library_versions() -> dict[str, str]:
    """Return the versions of the libraries that this package requires, without its extras."""
    versions = {}
    for requirement in requires("rosetta-core") or []:
        name = re.match(r"[\w.-]+", requirement)
        if name and "extra ==" not in requirement:
            with suppress(PackageNotFoundError):
                versions[name[0]] = version(name[0])
    return dict(sorted(versions.items()))


def _describe_weights(model: ModelSpec, resources: Path) -> dict[str, Any]:
    """Return what identifies a model's weights: random seed, function, or file and SHA-256."""
    if isinstance(model.weights, RandomWeights):
        return {"random": model.weights.model_dump(mode="json")}
    file = weights_file(model, resources)
    if file is None:
        return {"target": model.target}
    record = read_record(file)  # checked by each job that loads the weights
    sha256 = record.sha256 if record else file_sha256(file)
    return {"file": str(file), "sha256": sha256, "bytes": file.stat().st_size}
