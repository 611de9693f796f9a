"""Provenance of a run: code, libraries, weights, seeds and machine, as JSON values."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.io.strict_json import read_json
from rosetta_core.runs.paths import PACKAGE, RunPaths, weights_file
from rosetta_core.runs.provenance.digests import digests
from rosetta_core.runtime.machine import command_output, describe_machine
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["describe_provenance", "listed_digests", "read_provenance", "write_provenance"]

SHA256 = re.compile("[0-9a-f]{64}")


def describe_provenance(
    config: Config,
    *,
    code: Mapping[str, str],
    outputs: Sequence[Path],
    networks: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the provenance of a run that is being finished; config.yaml has its configuration.

    Args:
        config: configuration of the run.
        code: fingerprints of the code of its jobs, by stage and, where they differ, by job.
        outputs: outputs of its jobs, of which those that exist are listed with their SHA-256.
        networks: SHA-256 of the parameters of networks that were given in memory, by model.
    """
    paths = RunPaths(config)
    resources = paths.resources
    written = [path for path in outputs if path != paths.provenance]
    return {
        "run": config.run,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "rosetta": {"version": version("rosetta-core"), **_commit(PACKAGE)},
        "machine": describe_machine(),
        "device": config.device,
        "seed": config.sampling.seed,
        "libraries": _library_versions(config),
        "code": dict(code),
        "weights": {
            model.name: _describe_weights(model, resources, networks or {})
            for model in config.models
        },
        "artifacts": digests(paths.run, [paths.config, *written]),
    }


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of a finished run; empty if the run has none.

    Raises:
        RosettaError: the file cannot be read, or is not a mapping of mappings.
    """
    cure = "delete it and run again"
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        for key in ("rosetta", "machine", "libraries", "code", "weights", "artifacts"):
            if not isinstance(content.get(key, {}), dict):
                raise ValueError(f"{key}: not a mapping")
        weights = content.get("weights", {}).values()
        if any(not isinstance(described, dict) for described in weights):
            raise ValueError("weights: not mappings")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(f"{path}: cannot be read ({reason}); {cure}") from error
    return content


def listed_digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of the artifacts of a run, by path relative to it, from its provenance.

    Raises:
        RosettaError: the provenance is missing or damaged, or lists none.
    """
    listed = read_provenance(path).get("artifacts")
    if not listed:
        command = ["rosetta", "provenance", "--config", str(path.with_name("config.yaml"))]
        raise RosettaError(
            f"{path}: lists no artifacts with their SHA-256; run {shlex.join(command)}, in the "
            "folder in which the run was made"
        )
    for name, sha256 in listed.items():
        plain = "\0" not in name and not {"", ".", ".."}.intersection(name.split("/"))
        if not plain or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise RosettaError(
                f"{path}: {name[:80]!r} is not listed with a SHA-256; delete it and run again"
            )
    return listed


def write_provenance(path: Path, content: Mapping[str, Any]) -> None:
    """Write provenance atomically, as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _commit(folder: Path) -> dict[str, Any]:
    """Return the Git commit of the code and whether files differ from it; empty without Git."""
    git = ("git", "-C", str(folder))
    commit = command_output(*git, "rev-parse", "HEAD")
    changed = command_output(*git, "status", "--porcelain", "--", str(folder))
    return {"commit": commit[0], "changed": bool(changed)} if commit else {}


def _library_versions(config: Config) -> dict[str, str]:
    """Return the versions of the libraries that the run requires, without unused extras."""
    families = (FAMILIES[model.family] for model in config.models)
    versions = {str(f.name): f.library_version() for f in families if f.extra}
    for requirement in requires("rosetta-core") or []:
        name = re.match(r"[\w.-]+", requirement)
        if name and "extra ==" not in requirement:
            with suppress(PackageNotFoundError):
                versions[name[0]] = version(name[0])
    return dict(sorted(versions.items()))


def _describe_weights(
    model: ModelSpec, resources: Path, networks: Mapping[str, str]
) -> dict[str, Any]:
    """Return what identifies a model's weights: random seed, function, or file and SHA-256."""
    if model.name in networks:
        return {"network": model.architecture, "sha256": networks[model.name]}
    if isinstance(model.weights, RandomWeights):
        return {"random": model.weights.model_dump(mode="json")}
    file = weights_file(model, resources)
    if file is None:
        return {"target": model.target}
    record = read_record(file)  # checked by each job that loads the weights
    sha256 = record.sha256 if record else file_sha256(file)
    return {"file": str(file), "sha256": sha256, "bytes": file.stat().st_size}
