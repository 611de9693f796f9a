"""Results of mining in memory, saved as run folders like those of the workflow.

docs/reference/tables-and-stores.md describes the files. A network that cannot be loaded by name is
described by its class, its layers and the SHA-256 of its parameters (family `in_memory`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rosetta_core.api.images import ImageSet
from rosetta_core.api.models import Model
from rosetta_core.config import Config, write_yaml
from rosetta_core.config.reading import parse_config
from rosetta_core.config.sections import Dictionary
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.stores.store import library_versions
from rosetta_core.io.tables import write_table
from rosetta_core.mining.examples.stores import LayerExamples, write_unit_examples
from rosetta_core.mining.matching.topk_store import TopKCollector, write_topk
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.mining.sampling.generator import image_seed
from rosetta_core.mining.sampling.samples import LABELS, NAMES, UNCONDITIONAL, write_samples
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.mining.sources.recording import record_shard
from rosetta_core.runs.paths import RunPaths, weights_file
from rosetta_core.runs.provenance.record import describe_provenance, write_provenance
from rosetta_core.runs.provenance.weights import model_digest
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.runtime.progress import log
from rosetta_core.stages.registry import verified_outputs
from rosetta_core.validation import check_name
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Encoder, Generator

__all__ = ["ResultParts", "check_target", "save_result"]

MIB = 2**20
CODE = "rosetta_core.api.mining"  # whose fingerprint the provenance records


@dataclass(frozen=True)
class ResultParts:
    """What is saved of a result.

    Attributes:
        tables: its tables.
        models: its models, the pivot first.
        sources: by model its activation maps.
        images: its images.
        labels: label of each image; empty if there are none.
        unit_examples: by model and layer the top images of its units.
        concept_examples: path of the store of concept scores, in a folder `examples`.
        neighbours: nearest neighbours of all units.
        min_relative_std: fraction of |mean| below which the std of a dead unit is.
        memory_budget: bytes of working memory.
        write_pages: function that writes the pages of tables into a folder that does not exist.
    """

    tables: RunTables
    models: Sequence[Model]
    sources: Mapping[str, LiveActivations]
    images: ImageSet
    labels: Sequence[str]
    unit_examples: Mapping[str, Sequence[LayerExamples]]
    concept_examples: Path
    neighbours: TopKCollector
    min_relative_std: float
    memory_budget: int
    write_pages: Callable[[Path, RunTables], None]


def check_target(folder: str | Path) -> Path:
    """Return the path of a folder that a result can be saved to.

    Raises:
        RosettaError: it is not a path, its name cannot be that of a run, or it exists and is not
            empty.
    """
    if not isinstance(folder, str | Path):
        raise RosettaError(f"folder: {type(folder).__name__} is not a path; give a folder")
    try:
        target = Path(folder).expanduser()
        if target.is_symlink() or target.name in ("", ".."):
            target = target.resolve()
        check_name(target.name)
        if target.exists() and not target.is_dir():
            raise RosettaError(f"{target}: is a file; give a folder that does not exist")
        above = next((part for part in target.parents if part.exists()), Path())
        if not above.is_dir():
            raise RosettaError(f"{target}: {above} is a file; give another folder")
        if target.is_dir() and any(target.iterdir()):
            raise RosettaError(f"{target}: exists and is not empty; give another folder")
    except RosettaError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(f"{one_line(str(folder))}: {reason}; give another folder") from None
    return target


def save_result(parts: ResultParts, target: Path, *, activations: bool) -> Path:
    """Write a result as a run folder, whole or not at all; return the folder.

    Args:
        parts: the result.
        target: folder, as `check_target` returns it.
        activations: also run the networks once more and store all activation maps.

    Raises:
        RosettaError: the folder cannot be written, or was filled in the meantime.
    """
    config = _config(parts, target, activations=activations)
    digests = {
        spec.name: _network_digest(model.network.network)
        for model, spec in zip(parts.models, config.models, strict=True)
        if spec.family == "in_memory"
    }
    try:
        with atomic_path(target) as temporary:
            temporary.mkdir()
            placed = config.model_copy(
                update={"results": str(temporary.parent), "run": temporary.name}
            )
            _write_run(parts, placed, digests)
            parts.write_pages(RunPaths(placed).dictionary, replace(parts.tables, run=config.run))
            text = write_yaml(config.model_dump(mode="json"), sort_keys=False)
            RunPaths(placed).config.write_text(text, encoding="utf-8")
            _write_provenance(placed, config.run, digests)
            check_target(target)
    except OSError as error:
        raise RosettaError(
            f"{target}: cannot be written ({one_line(error.strerror or error)}); choose another "
            "folder"
        ) from error
    return target


def _config(parts: ResultParts, target: Path, *, activations: bool) -> Config:
    """Return the configuration that describes a result."""
    tables, images = parts.tables, parts.images
    resources = next((m.resources for m in parts.models if m.spec), Path("resources"))
    pivot, *encoders = (_spec(model, resources).model_dump(mode="json") for model in parts.models)
    sampling: dict[str, Any] = {"images": tables.images, "source": tables.folder}
    if tables.folder is None:
        drawn_from = images.drawn_from and list(images.drawn_from)
        sampling |= {"seed": tables.seed, "truncation": tables.truncation, "classes": drawn_from}
    return parse_config(
        {
            "run": target.name,
            "results": str(target.parent),
            "resources": str(resources),
            "origin": "memory",
            "memory_budget": f"{max(64, parts.memory_budget // MIB)} MiB",
            "pivot": pivot,
            "encoders": encoders,
            "sampling": sampling,
            "activations": {
                "min_relative_std": parts.min_relative_std,
                "store": "zarr" if activations else "none",
            },
            "correlation": {"keep_matrix": False},
            "neighbours": {"k": tables.k},
            "significance": {"nulls": [], "splits": 0, "intervals": False},
            "dictionary": {"examples": min(Dictionary().examples, tables.images)},
        },
        source=str(target),
    )


def _spec(model: Model, resources: Path) -> ModelSpec:
    """Return the definition of a model: the one that it was loaded from, if that still holds."""
    if model.spec is not None:
        reason = _difference(model, model.spec, resources)
        if not reason:
            return model.spec.model_copy(update={"name": model.name})
        log.warning(
            "%s: %s, so it is saved as a network that was given in memory", model.name, reason
        )
    network = model.network
    return ModelSpec(
        name=model.name,
        family="in_memory",
        architecture=model.facts.network,
        layers=[layer.name for layer in model.layers],
        float32_layers=list(model.float32) or None,
        input=network.input if isinstance(network, Encoder) else None,
    )


def _difference(model: Model, spec: ModelSpec, resources: Path) -> str:
    """Return why a model is not the one that its definition loads; empty if it is."""
    if model.resources.resolve() != resources.resolve():
        return f"its weights are in {model.resources}, and those of other models in {resources}"
    try:
        loaded = load(
            spec,
            weights_file(spec, model.resources),
            device=torch.device("cpu"),
            truncation=model.truncation,
        )
        layers = layers_of(spec, loaded)
    except RosettaError as error:
        return f"it cannot be loaded again ({one_line(error)})"
    network = model.network
    settings = (
        ("input",) if isinstance(network, Encoder) else ("output_range", "classes", "latent_size")
    )
    if type(network) is not type(loaded) or layers != model.layers:
        return "its layers were changed after it was loaded"
    if any(getattr(network, name) != getattr(loaded, name) for name in settings):
        return "its settings were changed after it was loaded"
    before, now = loaded.network.state_dict(), network.network.state_dict()
    same = before.keys() == now.keys() and all(
        torch.equal(before[name], value.detach().cpu()) for name, value in now.items()
    )
    return "" if same else "its weights were changed after it was loaded"


def _network_digest(network: nn.Module) -> str:
    """Return the SHA-256 of the names, types, shapes and values of a network's parameters."""
    digest = sha256()
    for name, value in sorted(network.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write_run(parts: ResultParts, config: Config, digests: Mapping[str, str]) -> None:
    """Write samples, tables and stores."""
    paths, tables = RunPaths(config), parts.tables
    weights = {
        spec.name: digests.get(spec.name) or model_digest(spec, paths, remember=False)
        for spec in config.models
    }
    pivot = parts.models[0]
    for shard in config.shards:
        arrays, about = _samples(parts, config.shard_images(shard), weights[pivot.name])
        write_samples(paths.samples(shard), arrays, images=config.shard_images(shard), about=about)
    for model in parts.models if config.stores_activations else ():
        for shard in config.shards:
            _record(parts, config, model, shard, weights[model.name])
    stores = [paths.correlations(name) for name in tables.names]
    write_topk(stores, (), parts.neighbours, subsets=0)
    for name in tables.names:
        recorded = None if config.stores_activations else weights[name]
        write_table(tables.units[name], paths.units(name), weights=recorded)
        write_table(tables.neighbours[name], paths.neighbours(name))
        write_table(tables.best_buddies[name], paths.best_buddies(name))
        write_unit_examples(paths.unit_examples(name), parts.unit_examples[name])
    write_table(tables.rosetta, paths.rosetta)
    write_table(tables.concepts, paths.concepts)
    write_table(tables.selectivity, paths.selectivity)
    write_table(tables.layers, paths.layers)
    write_table(tables.vargha_delaney, paths.vargha_delaney)
    copytree(parts.concept_examples, paths.concept_examples)


def _samples(
    parts: ResultParts, images: range, weights: str | None
) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Return the arrays of a shard's samples, and what its manifest says about them."""
    samples, inside = parts.images, slice(images.start, images.stop)
    classes = np.full(len(images), UNCONDITIONAL, np.int64)
    if samples.classes is not None:
        classes = samples.classes[inside].astype(np.int64)
    arrays: dict[str, NDArray] = {"images": samples.pixels[inside], "classes": classes}
    about: dict[str, Any] = {"versions": library_versions("torch")}
    if samples.names:
        about[NAMES] = list(samples.names[inside])
    if parts.labels:
        about[LABELS] = list(parts.labels[inside])
    network = parts.models[0].network
    if isinstance(network, Generator):
        assert samples.latents is not None
        arrays["latents"] = samples.latents[inside].astype(np.float32)
        seeds = [image_seed(samples.seed, image) for image in images]
        if np.array_equal(network.sample_latents(seeds).numpy(), arrays["latents"]):
            arrays["seeds"] = np.array(seeds, np.int64)
        about |= {"seed": samples.seed, "truncation": parts.tables.truncation, "weights": weights}
    return arrays, about


def _record(
    parts: ResultParts, config: Config, model: Model, shard: str, weights: str | None
) -> None:
    """Store the activation maps of a model on the images of a shard."""
    spec, images = config.model(model.name), config.shard_images(shard)
    about: dict[str, Any] = {
        "model": model.name,
        "family": spec.family,
        "architecture": spec.architecture,
        "weights": weights,
    }
    if isinstance(model.network, Encoder):
        about["input"] = model.network.input.model_dump()
    record_shard(
        parts.sources[model.name].restrict(images),
        RunPaths(config).activations(model.name, shard),
        images=images,
        memory_budget=parts.memory_budget,
        threads=torch.get_num_threads(),
        about=about,
    )


def _write_provenance(config: Config, run: str, networks: Mapping[str, str]) -> None:
    """Write code, libraries, weights, machine, and the SHA-256 of all files."""
    paths = RunPaths(config)
    content = describe_provenance(
        config,
        code={"mine": code_fingerprint(CODE)},
        outputs=[*verified_outputs(config), paths.dictionary],
        networks=networks,
    )
    write_provenance(paths.provenance, {**content, "run": run})
