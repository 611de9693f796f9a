"""What made a run: code, libraries, weights, seeds, and the machine."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from rosetta_core.config import Config
from rosetta_core.io.atomic import sha256_of
from rosetta_core.runs.paths import PACKAGE, RunPaths, weights_file
from rosetta_core.runtime.machine import machine, said
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.sources import RandomWeights

__all__ = ["provenance"]


def provenance(config: Config, *, code: Mapping[str, str]) -> dict[str, Any]:
    """Return the provenance of a run as JSON values; its configuration is in config.yaml.

    Args:
        config: configuration of the run.
        code: fingerprints of the code of its jobs, by stage and, where they differ, by job.
    """
    resources = RunPaths(config).resources
    return {
        "run": config.run,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "rosetta": {"version": version("rosetta-core"), **_commit(PACKAGE)},
        "machine": machine(),
        "device": config.device,
        "seed": config.sampling.seed,
        "libraries": _libraries(),
        "code": dict(code),
        "weights": {model.name: _weights(model, resources) for model in config.models},
    }


def _commit(folder: Path) -> dict[str, Any]:
    """The commit that the code is of, and whether it was changed since; nothing without git."""
    git = ("git", "-C", str(folder))
    commit = said(*git, "rev-parse", "HEAD")
    changed = said(*git, "status", "--porcelain", "--", str(folder))
    return {"commit": commit[0], "changed": bool(changed)} if commit else {}


def _libraries() -> dict[str, str]:
    """The versions of what the package requires to run."""
    found = {}
    for line in requires("rosetta-core") or []:
        name = re.match(r"[\w.-]+", line)
        if name and "extra ==" not in line:
            with suppress(PackageNotFoundError):
                found[name[0]] = version(name[0])
    return dict(sorted(found.items()))


def _weights(model: ModelSpec, resources: Path) -> dict[str, Any]:
    """What tells a model's weights from others."""
    if isinstance(model.weights, RandomWeights):
        return {"random": model.weights.model_dump(mode="json")}
    file = weights_file(model, resources)
    if file is None:
        return {"target": model.target}
    record = read_record(file)  # verified, as the configuration's is, whenever a job loads it
    sha256 = record.sha256 if record else sha256_of(file)
    return {"file": str(file), "sha256": sha256, "bytes": file.stat().st_size}
