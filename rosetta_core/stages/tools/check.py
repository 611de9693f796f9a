"""Checks of a configuration before a run: models, layers, weights, images and steering jobs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.config.edits import Edit
from rosetta_core.config.steering import PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.io.checked_files import check_once
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.weights import find_stale_stores
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.runtime.progress import log
from rosetta_core.runtime.user_code import fingerprint, report_errors
from rosetta_core.stages import sample, triggers
from rosetta_core.stages.steering.checks import check_steering, check_units
from rosetta_core.stages.tools.prepare import list_layers
from rosetta_core.zoo.encoders.transformers_files import model_definition
from rosetta_core.zoo.model_spec import ModelSpec, has_image_range
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.local import FileWeights, ShippedWeights
from rosetta_core.zoo.weights.shards import weights_files
from rosetta_core.zoo.weights.sources import HubWeights, RemoteWeights, StoredWeights

if TYPE_CHECKING:
    from rosetta_core.zoo.layers import Layer

__all__ = ["check_config"]

PROBE_IMAGES = 4  # generated before a run
PROBE_FLOPS = 4 * 10**11  # of all of them: seconds on a CPU
UNSUITABLE = re.compile(r"[{\n\r]|<[a-z][a-z0-9_]*>")  # in paths of Snakemake
UNPLACED = {  # verdicts on layers whose maps show no places, and what they mean
    "single": "have one position; only their values are compared",
    "even": "respond everywhere to each part of the image, so their layout cannot be verified; "
    "check the order of their positions, or choose other layers",
    "silent": "do not respond to random images, or the image not to them; choose other layers",
    "opaque": "cannot be differentiated, so their layout cannot be verified; check it",
}


def check_config(config: Config, *, elsewhere: bool = False) -> dict[str, list["Layer"]]:
    """Check everything that can be checked before a job starts.

    Args:
        config: configuration of the run.
        elsewhere: jobs run on other machines, so this machine's devices are not checked.

    Returns:
        The mined layers of each model, by name.

    Raises:
        RosettaError: for example a missing device or file, an unknown architecture, a layer
            pattern without a match, K larger than the number of units, more examples than images,
            a steered unit that is not mined, an unreadable image, or a box outside an image.
    """
    config.check_runnable()
    _check_folders(config)
    if config.device.startswith("cuda") and not elsewhere:
        from rosetta_core.runtime.devices import resolve_device

        resolve_device(config.device)
    _check_weights(config)
    if config.dictionary.examples > config.sampling.images:
        raise RosettaError(
            f"dictionary.examples: {config.dictionary.examples} is more than sampling.images: "
            f"{config.sampling.images}; lower it or increase sampling.images"
        )
    _check_image_folder(config)
    layers_by_model = {model.name: list_layers(config, model=model.name) for model in config.models}
    _check_fits(config)
    _check_models(config)
    _check_first_images(config)
    _check_stores(config)
    for name, layers in layers_by_model.items():
        units = sum(layer.channels for layer in layers)
        if config.neighbours.k >= units:
            raise RosettaError(
                f"neighbours.k: {config.neighbours.k} is too large for {name}, which has {units} "
                "units; lower it or mine more layers"
            )
    pivot_layers = layers_by_model[config.pivot.name]
    check_units(config, pivot_layers)
    units = sum(layer.channels for layer in pivot_layers)
    if config.correlation.blocks > units:
        raise RosettaError(
            f"correlation.blocks: {config.correlation.blocks} is more than the {units} units of "
            f"{config.pivot.name}; lower it"
        )
    return layers_by_model


def _check_folders(config: Config) -> None:
    """Check that no file takes the place of the folders of results and resources."""
    for key, folder in (("results", RunPaths(config).run), ("resources", Path(config.resources))):
        for path in (folder, *folder.parents):
            if path.is_symlink() and not path.exists():
                raise RosettaError(
                    f"{key}: {path} links to {path.readlink()}, which does not exist; create that "
                    "folder, or remove the link"
                )
            if path.exists() and not path.is_dir():
                raise RosettaError(
                    f"{key}: {path} is not a folder; choose another path, or remove it"
                )


def _check_weights(config: Config) -> None:
    """Check the user's own files of weights, those in this package, and names of others."""
    from rosetta_core.zoo.weights.checksums import verify_weights

    paths = RunPaths(config)
    for model in config.models:
        path = paths.weights(model)
        if path is not None and isinstance(model.weights, HubWeights) and not path.exists():
            with _naming(model):
                _check_hub_name(model.weights.hub, cache=paths.resources / "checked")
        if path is None or not isinstance(model.weights, FileWeights | ShippedWeights):
            continue
        if not path.exists():
            raise RosettaError(
                f"{model.name}: there is no weights file at {path}; correct `weights`, or put the "
                "file there"
            )
        if isinstance(model.weights, ShippedWeights):  # small, while the user's may be large
            verify_weights(path, model.weights)


def _check_hub_name(hub: str, *, cache: Path) -> None:
    """Check that a library has weights of a name; imports the library, once for each version."""
    from rosetta_core.zoo.weights.hub import resolve_hub_name

    def check() -> None:
        resolve_hub_name(hub)

    packages = {"timm": "timm", "torchvision": "torchvision", "open_clip": "open_clip_torch"}
    library = packages.get(hub.partition(":")[0])
    if library:
        check_once([], check, key=[hub, version(library)], cache=cache)


def _check_fits(config: Config) -> None:
    """Check that the weights that are there fit their networks; those to be fetched are left."""
    paths = RunPaths(config)
    for model in config.models:
        path = paths.weights(model)
        if path is None or not path.exists() or not isinstance(model.weights, StoredWeights):
            continue
        with _naming(model):
            files = weights_files(path)
        check_once(
            files,
            partial(_check_fit, model, path, paths.resources),
            key=[
                model.model_dump(mode="json", exclude={"name", "layers", "input"}),
                code_fingerprint("rosetta_core.zoo.model_info", FAMILIES[model.family].module_name),
                fingerprint(model.target, key="target") if model.target else None,
                model_definition(model),
                version("torch"),
            ],
            cache=paths.resources / "checked",
        )


def _check_stores(config: Config) -> None:
    """Check that images and maps come from the weights that are there.

    After a change of the user's own weights, Snakemake runs their jobs again; fetched weights are
    no inputs whose content it compares.
    """
    for stale in find_stale_stores(config):
        if isinstance(stale.model.weights, RemoteWeights):
            raise RosettaError(str(stale))


def _check_fit(model: ModelSpec, path: Path, resources: Path) -> None:
    """Check that a file of weights fits a network; imports torch."""
    from rosetta_core.zoo.model_info import check_fit

    with _naming(model):
        check_fit(model, path, resources)


@contextmanager
def _naming(model: ModelSpec) -> Iterator[None]:
    """Begin errors with the name of a model."""
    try:
        yield
    except RosettaError as error:
        raise RosettaError(f"{model.name}: {error}") from None


def _check_image_folder(config: Config) -> None:
    """Check that the folder has enough images and that they can be read."""
    from rosetta_core.io.image_files import check_images

    if config.sampling.folder is None:
        return
    folder, results = Path(config.sampling.folder).resolve(), Path(config.results).resolve()
    if folder in (results, *results.parents) or results in folder.parents:
        raise RosettaError(
            f"sampling.folder: {config.sampling.folder} and results: {config.results} are nested; "
            "use separate folders"
        )
    paths = RunPaths(config)
    files = [file for shard in config.shards for file in paths.folder_images(shard)]
    for note in paths.image_folder.notes(len(files)) if paths.image_folder else []:
        log.warning("%s", note)
    for file in files:
        if found := UNSUITABLE.search(str(file)):
            raise RosettaError(
                f"{str(file)!r}: Snakemake reads {found[0]!r} in a path as a wildcard or a "
                "variable; rename the file or its folder"
            )
    check_images(
        files,
        paths.resources / "images",
        bit_depth=config.sampling.bit_depth,
        max_pixels=config.max_pixels,
    )


def _check_models(config: Config) -> None:
    """Check what only a built network shows: whether it generates images, and its classes."""
    from rosetta_core.zoo.model_info import describe

    resources = RunPaths(config).resources
    models = {model.name: describe(model, resources) for model in config.models}
    pivot, sampling = models[config.pivot.name], config.sampling
    if sampling.folder is None and not pivot.image_pixels:
        raise RosettaError(
            f"{config.pivot.name}: generates no images; use a generator as pivot, or set "
            "sampling.folder"
        )
    for model in config.models:
        if models[model.name].image_pixels and (model != config.pivot or sampling.folder):
            raise RosettaError(
                f"{model.name}: is a generator and cannot process images; use an encoder"
            )
    if sampling.truncation != 1 and not pivot.supports_truncation:
        raise RosettaError(
            f"sampling.truncation: {sampling.truncation:g} was given, but the target of "
            f"{config.pivot.name} does not accept truncation; use 1"
        )
    _check_classes(config, pivot.classes)
    check_steering(config, pivot)
    _check_geometry(config)


def _check_geometry(config: Config) -> None:
    """Check that the maps of all models follow the image; warn of layers that do not show it."""
    from rosetta_core.zoo.model_info import check_layers

    for model in config.models:
        verdicts = check_layers(model, RunPaths(config).resources)
        for verdict, meaning in UNPLACED.items():
            layers = [layer for layer, found in verdicts.items() if found == verdict]
            if layers:
                shown = ", ".join(layers[:3]) + (", …" if len(layers) > 3 else "")
                log.warning(
                    "%s: not spatial: %s (%d of %d layers) %s",
                    *(model.name, shown, len(layers), len(verdicts), meaning),
                )


def _check_first_images(config: Config) -> None:
    """Check the first images of a generator, if its weights are there and were trained."""
    paths, pivot = RunPaths(config), config.pivot
    weights = paths.weights(pivot)
    if config.sampling.folder is not None or not has_image_range(pivot):
        return
    if weights is not None and not weights.is_file():  # still to be fetched
        return
    check_once(
        [weights] if weights else [],
        partial(_generate_first_images, config, weights),
        key=[
            sample.settings(config, shard=config.shards[0]),
            triggers.code(sample.STAGE, config, shard=config.shards[0]),
            version("torch"),
            bool(config.steering.jobs),
        ],
        cache=paths.resources / "checked",
    )


def _generate_first_images(config: Config, weights: Path | None) -> None:
    """Generate the first images on the CPU and check them.

    Large networks take seconds per image, so they generate fewer.
    """
    import torch

    from rosetta_core.mining.sampling.generator import check_first_images
    from rosetta_core.zoo.loading import load_generator
    from rosetta_core.zoo.model_info import describe

    pivot, sampling = config.pivot, config.sampling
    flops = describe(pivot, RunPaths(config).resources).flops
    count = max(1, min(PROBE_IMAGES, sampling.images, PROBE_FLOPS // max(flops, 1)))
    with report_errors(pivot.target, key="target") if pivot.target else nullcontext():
        generator = load_generator(
            pivot, weights, device=torch.device("cpu"), truncation=sampling.truncation
        )
        if config.steering.jobs and pivot.target:
            with torch.no_grad():
                raw = generator.network(*generator.probe())
            if not raw.is_floating_point():
                raise RosettaError(
                    f"steering: {pivot.name} returns {raw.dtype} images, which have no gradients; "
                    "return floating-point images, or remove the jobs"
                )
        check_first_images(
            generator,
            name=pivot.name,
            images=range(count),
            seed=sampling.seed,
            classes=sampling.classes,
        )


def _check_classes(config: Config, classes: int) -> None:
    """Check all class labels of a run against the number of the generator's classes."""
    sampled = config.sampling.classes or []
    labels = [("sampling.classes", label) for label in sampled]
    for job in config.steering.jobs.values():
        if isinstance(job, PivotalTuning) or (isinstance(job, Edit) and job.source_job):
            continue  # uses the class of its source job
        if job.class_label is not None:
            labels.append((f"steering: {job.name}: class_label", job.class_label))
        elif classes and len(sampled) != 1:
            raise RosettaError(
                f"steering: {job.name}: class_label is missing; give a class of "
                f"{config.pivot.name}, from 0 to {classes - 1}"
            )
    for key, label in labels:
        if label >= classes:
            cure = f"give a class from 0 to {classes - 1}" if classes else "remove it"
            raise RosettaError(
                f"{key}: {label} is not a class of {config.pivot.name}, which has {classes}; {cure}"
            )
