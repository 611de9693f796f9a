"""What made a run: code, libraries, weights, seeds, and the machine.

provenance     all of it, as it is written down in a run's folder
code_of        the fingerprints of the code of all jobs of a run
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from rosetta_core.config import Config
from rosetta_core.io.atomic import sha256_of
from rosetta_core.runs import triggers
from rosetta_core.runs.paths import PACKAGE, RunPaths, weights_file
from rosetta_core.runtime.machine import machine, said
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.sources import RandomWeights

__all__ = ["code_of", "provenance"]


def provenance(config: Config) -> dict[str, Any]:
    """Return what made a run, as JSON has it; its configuration lies beside it as config.yaml."""
    resources = RunPaths(config).resources
    return {
        "run": config.run,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "rosetta": {"version": version("rosetta-core"), **_commit(PACKAGE)},
        "machine": machine(),
        "device": config.device,
        "seed": config.sampling.seed,
        "libraries": _libraries(),
        "code": code_of(config),
        "weights": {model.name: _weights(model, resources) for model in config.models},
    }


def code_of(config: Config) -> dict[str, str]:
    """Return the fingerprints of the code of a run's jobs by stage, model and steering job."""
    found = {}
    for stage in triggers.MODULES:
        by_model = stage in ("sample", "activations")
        for model in config.models if by_model else [None]:
            if stage == "sample" and model != config.pivot:
                continue
            name = f"{stage} {model.name}" if model else stage
            found[name] = triggers.code(stage, config, model=model.name if model else None)
    for job in config.steering.jobs:
        found[f"steer {job}"] = triggers.code("steer", config, job=job)
    return found


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
