"""Rerun triggers of jobs: the settings that a job reads and the fingerprint of its code.

Snakemake reruns a job when its trigger changes. The digest of the user's own weights is part of it;
options that change results only by rounding are not: device, threads, batch size and memory. The
code of a job is the module of its stage and everything that it imports from this package, found by
reading the imports; where a job imports a module by name (networks by their family, sources that
run networks), its stage names it.
"""

from typing import Any

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.weights import model_digest
from rosetta_core.runtime import user_code
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.stages.stage import Stage
from rosetta_core.validation import to_json
from rosetta_core.zoo.encoders.transformers_files import model_definition
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.local import FileWeights

__all__ = ["code", "code_modules", "settings", "trigger", "weights"]


def settings(stage: Stage, config: Config, **job: Any) -> str:
    """Return the part of the configuration that a job reads, as canonical JSON."""
    return to_json({stage.name: stage.settings(config, **job)})


def code_modules(stage: Stage, config: Config, **job: Any) -> list[str]:
    """Return the modules from which a job's code is read: its stage's and those named."""
    families = {FAMILIES[model.family].module_name for model in stage.models(config, **job)}
    return [stage.module, *stage.modules(config, **job), *sorted(families)]


def code(stage: Stage, config: Config, **job: Any) -> str:
    """Return the fingerprint of a job's code, and of the user's own that builds its networks.

    Files that define a network count as code.
    """
    models = stage.models(config, **job)
    targets = sorted({model.target for model in models if model.target})
    own = [user_code.fingerprint(target, key="target") for target in targets]
    own += [digest for model in models if (digest := model_definition(model))]
    return " ".join([code_fingerprint(*code_modules(stage, config, **job)), *sorted(own)])


def weights(stage: Stage, config: Config, **job: Any) -> str:
    """Return the digests of the user's own weights that a job loads; empty if there are none.

    They always exist before a run. Fetched weights are verified by the jobs that load them.
    """
    paths, models = RunPaths(config), stage.models(config, **job)
    own = {m.name: m for m in models if isinstance(m.weights, FileWeights)}
    return " ".join(model_digest(model, paths) or "" for model in own.values())


def trigger(stage: Stage, config: Config, **job: Any) -> str:
    """Return the rerun trigger of a job: its settings, its code's fingerprint and its weights."""
    parts = (function(stage, config, **job) for function in (settings, code, weights))
    return " ".join(part for part in parts if part)
