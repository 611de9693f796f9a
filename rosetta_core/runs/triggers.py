"""What a stage's result depends on beside its input files: its settings and its code.

settings     the part of the configuration that a job reads, as one canonical line
code         the fingerprint of the code that a job runs
models_of    the models that a steering job runs, the pivot first

Snakemake reruns a job when one of the two changes. Device, threads, batch size and memory stay
out: they change results by rounding at most.
"""

from typing import Any

from rosetta_core.config import Config
from rosetta_core.config.steering import (
    ActivationMaximisation,
    Edit,
    Evaluation,
    Inversion,
    Job,
    PivotalTuning,
)
from rosetta_core.runtime import user_code as own_code
from rosetta_core.runtime.code_fingerprint import fingerprint
from rosetta_core.validation import to_json
from rosetta_core.zoo.model_spec import GENERATORS, ModelSpec
from rosetta_core.zoo.registry import FAMILIES

__all__ = ["code", "models_of", "settings"]

MODULES = {
    "sample": ["rosetta_core.mining.sampling.generator", "rosetta_core.zoo.loading"],
    "activations": ["rosetta_core.mining.sources.recording", "rosetta_core.zoo.loading"],
    "units": ["rosetta_core.mining.units", "rosetta_core.mining.sources.shards"],
    "correlations": [
        "rosetta_core.mining.correlation.pearson",
        "rosetta_core.mining.correlation.store",
        "rosetta_core.mining.sources.stored",
        "rosetta_core.mining.correlation.image_subsets",
    ],
    "join": ["rosetta_core.mining.correlation.store"],
    "neighbours": [
        "rosetta_core.mining.matching.best_buddies",
        "rosetta_core.mining.correlation.store",
    ],
    "concepts": ["rosetta_core.mining.matching.concepts"],
    "null_models": [
        "rosetta_core.mining.correlation.pearson",
        "rosetta_core.mining.significance.null_models",
        "rosetta_core.mining.sources.permuted",
        "rosetta_core.mining.sources.stored",
    ],
    "pair_statistics": [
        "rosetta_core.mining.significance.pair_statistics",
        "rosetta_core.mining.sources.concat",
        "rosetta_core.mining.sources.stored",
    ],
    "significance": [
        "rosetta_core.mining.significance.null_tests",
        "rosetta_core.mining.matching.topk_store",
        "rosetta_core.mining.matching.best_buddies",
        "rosetta_core.mining.significance.split_half",
    ],
    "sweep": [
        "rosetta_core.mining.correlation.pearson",
        "rosetta_core.mining.matching.topk_store",
        "rosetta_core.mining.sources.stored",
        "rosetta_core.mining.correlation.image_subsets",
    ],
    "sweep_curves": [
        "rosetta_core.mining.matching.topk_store",
        "rosetta_core.mining.matching.best_buddies",
        "rosetta_core.mining.significance.sweep",
        "rosetta_core.pages.plots.sweep_curves",
    ],
    "unit_examples": ["rosetta_core.mining.examples.units", "rosetta_core.mining.sources.stored"],
    "concept_examples": [
        "rosetta_core.mining.examples.concepts",
        "rosetta_core.mining.sources.stored",
    ],
    "layers": ["rosetta_core.mining.examples.layers"],
    "dictionary": [
        "rosetta_core.pages",
        "rosetta_core.pages.dictionary.site",
        "rosetta_core.pages.plots.figures",
    ],
    "steering_pages": [
        "rosetta_core.pages",
        "rosetta_core.pages.steering",
        "rosetta_core.pages.steering.site",
    ],
    "costs": ["rosetta_core.runs.costs"],
    "provenance": ["rosetta_core.runs.provenance"],
}
STEERING = {
    Inversion: [
        "rosetta_core.steering.jobs.inversion",
        "rosetta_core.steering.result_io.job_folder",
    ],
    ActivationMaximisation: [
        "rosetta_core.steering.jobs.activation_maximisation",
        "rosetta_core.steering.result_io.job_folder",
    ],
    Edit: [
        "rosetta_core.steering.jobs.editing",
        "rosetta_core.steering.metrics.random_baseline",
        "rosetta_core.steering.result_io.job_folder",
    ],
    Evaluation: [
        "rosetta_core.steering.jobs.evaluation",
        "rosetta_core.steering.result_io.evaluation_folder",
    ],
    PivotalTuning: [
        "rosetta_core.steering.jobs.pivotal_tuning",
        "rosetta_core.steering.result_io.job_folder",
    ],
}
FOLDER = "rosetta_core.mining.sampling.folder"  # takes the place of sampling
NETWORK = ("family", "architecture", "arguments", "target", "weights")  # what a network is
DRAWN = ("seed", "truncation", "classes")  # what images are drawn by
STEERED = [
    "rosetta_core.stages.steered_networks",
    "rosetta_core.zoo.loading",
]


def settings(
    stage: str,
    config: Config,
    *,
    model: str | None = None,
    shard: str | None = None,
    job: str | None = None,
    null: str | None = None,
) -> str:
    """Return what a job of `stage` reads of the configuration, as canonical JSON."""
    if stage == "steer":
        return to_json({stage: _of_job(config, config.steering.job(job or ""))})
    content = config.model_dump(mode="json")
    chosen = _network(config, model)
    sampling, pages = content["sampling"], content["dictionary"]
    images = str(config.shard_images(shard)) if shard else None
    live = config.mining.store == "none"
    from_folder = config.sampling.folder is not None
    keepbits = content["activations"]["keepbits"]
    seen = [model] if model else [m.name for m in config.models]
    networks = [*(_network(config, name) for name in seen), keepbits] if live else []
    read: dict[str, list[Any]] = {
        "sample": [
            *([] if from_folder else [chosen[key] for key in NETWORK]),
            *(sampling[key] for key in (("size",) if from_folder else DRAWN)),
            images,
        ],
        "activations": [_network(config, model), keepbits, images],
        "units": [config.activations.near_constant],
        "correlations": [
            *(config.keeps_matrix, config.partners, config.splits),
            config.activations.near_constant,
            *networks,
        ],
        "join": [config.keeps_matrix, config.splits],
        "neighbours": [config.neighbours.k],
        "concepts": [[encoder.name for encoder in config.encoders]],
        "null_models": [
            *(config.activations.near_constant, config.neighbours.k, sampling["seed"]),
            *((_network(config, model), keepbits) if null == "untrained" else ()),
        ],
        "pair_statistics": [
            [encoder.name for encoder in config.encoders],
            config.activations.near_constant,
        ],
        "significance": [
            [encoder.name for encoder in config.encoders],
            *(config.nulls, config.splits, config.intervals, config.neighbours.k),
        ],
        "sweep": [
            config.activations.near_constant,
            *(config.swept_images, max(config.significance.sweep.k)),
            *networks,
        ],
        "sweep_curves": [
            [encoder.name for encoder in config.encoders],
            *(config.swept_images, config.significance.sweep.k),
        ],
        "unit_examples": [pages["unit_examples"], *networks],
        "concept_examples": networks,
        "layers": [[encoder.name for encoder in config.encoders]],
        "dictionary": [
            *(content[key] for key in ("run", "neighbours", "sampling")),
            *(pages[key] for key in ("examples", "image_pages")),
            [job.name for job in config.steering.show],
            [model.weights and model.weights.licence for model in config.models],
        ],
        "steering_pages": [content["run"]],
    }
    return to_json({stage: read[stage]})


def models_of(config: Config, job: Job) -> list[ModelSpec]:
    """Return the models that a steering job runs, the pivot first."""
    every = [encoder.name for encoder in config.encoders]
    guides = {Inversion: every, Evaluation: every}.get(type(job), [])
    if isinstance(job, Inversion) and job.encoders:
        guides = job.encoders
    distances = [] if isinstance(job, ActivationMaximisation) else [config.evaluation_distance]
    if isinstance(job, Inversion | Evaluation | PivotalTuning):
        distances.append(config.loss_distance)
    names = [*guides, *(distance.encoder for distance in distances if distance.encoder)]
    return [config.pivot, *(config.model(name) for name in dict.fromkeys(names))]


def _of_job(config: Config, job: Job) -> list[Any]:
    """What a steering job's result depends on: its name and what it is of are its inputs."""
    networks = [_network(config, model.name) for model in models_of(config, job)]
    distances = [
        None
        if isinstance(job, ActivationMaximisation)
        else config.evaluation_distance.model_dump(mode="json")
    ]
    if isinstance(job, Inversion | Evaluation | PivotalTuning):
        distances.append(config.loss_distance.model_dump(mode="json"))
    of = []
    if isinstance(job, PivotalTuning | Edit) and job.source_job:
        of = [_of_job(config, config.steering.job(job.source_job))]
    return [job.model_dump(mode="json"), config.sampling.classes, networks, distances, of]


def _network(config: Config, model: str | None) -> dict[str, Any]:
    """What maps depend on of a model's definition."""
    chosen = config.model(model or config.pivot.name)
    content = chosen.model_dump(mode="json")
    if content["weights"]:
        content["weights"].pop("licence", None)
    if chosen.family in (*GENERATORS, "python"):
        content["truncation"] = config.sampling.truncation
    return content


def code(
    stage: str,
    config: Config,
    *,
    model: str | None = None,
    job: str | None = None,
    null: str | None = None,
) -> str:
    """Return the fingerprint of the code behind a job of `stage`, with that of the user's own."""
    if stage == "steer":
        chosen = config.steering.job(job or "")
        return _with_networks([*STEERING[type(chosen)], *STEERED], models_of(config, chosen))
    if stage == "sample" and config.sampling.folder is not None:
        return fingerprint(FOLDER)
    modules, networks = list(MODULES[stage]), []
    if stage in ("sample", "activations"):
        networks = [config.model(model or config.pivot.name)]
    if stage == "neighbours" and not config.keeps_matrix:
        modules.append("rosetta_core.mining.matching.topk_store")
    if null == "untrained":
        modules += ["rosetta_core.mining.sources.live", "rosetta_core.zoo.loading"]
        networks = [config.model(model or "")]
    live = config.mining.store == "none"
    if stage in ("correlations", "sweep", "unit_examples", "concept_examples") and live:
        modules += ["rosetta_core.mining.sources.live", "rosetta_core.zoo.loading"]
        networks = [config.model(model)] if model else config.models
    return _with_networks(modules, networks)


def _with_networks(modules: list[str], networks: list[ModelSpec]) -> str:
    """The fingerprint of modules and of the code that builds networks."""
    families = sorted({FAMILIES[network.family] for network in networks})
    own = {own_code.fingerprint(its.target, key="target") for its in networks if its.target}
    return " ".join([fingerprint(*modules, *families), *sorted(own)])
