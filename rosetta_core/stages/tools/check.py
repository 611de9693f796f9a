"""Checks of a configuration before a run: models, layers, weights, images and steering jobs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.config.steering import Edit, PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.before_steering import check_steering, check_units
from rosetta_core.stages.tools.prepare import list_layers
from rosetta_core.zoo.weights.sources import FileWeights, ShippedWeights

if TYPE_CHECKING:
    from rosetta_core.zoo.layers import Layer

__all__ = ["check_config"]


def check_config(config: Config, *, elsewhere: bool = False) -> dict[str, list["Layer"]]:
    """Check everything that can be wrong before a job starts; return each model's layers.

    Args:
        config: the run.
        elsewhere: other machines run its jobs, so that nothing is said of devices.

    Raises:
        RosettaError: a device or a file that isn't there, an unknown architecture, a layer
            pattern that matches nothing, a K larger than a model, more examples than images, a
            unit that isn't mined, an image that can't be read or isn't as large as a box or a mask
            has to be, a function that is no Python, other weights in this package than the
            configuration says.
    """
    _check_folders(config)
    if config.device.startswith("cuda") and not elsewhere:
        from rosetta_core.runtime.devices import resolve_device

        resolve_device(config.device)
    _check_weights(config)
    if config.dictionary.examples > config.sampling.images:
        raise RosettaError(
            f"dictionary.examples: {config.dictionary.examples} is more than sampling.images: "
            f"{config.sampling.images}"
        )
    _check_folder(config)
    found = {model.name: list_layers(config, model=model.name) for model in config.models}
    _check_kinds(config)
    for name, layers in found.items():
        units = sum(layer.channels for layer in layers)
        if config.neighbours.k >= units:
            raise RosettaError(
                f"neighbours.k: {config.neighbours.k} is too large for {name}, which has {units} "
                "units; lower it or name more layers"
            )
    check_units(config, found[config.pivot.name])
    units = sum(layer.channels for layer in found[config.pivot.name])
    if config.correlation.blocks > units:
        raise RosettaError(
            f"correlation.blocks: {config.correlation.blocks} is more than the {units} units of "
            f"{config.pivot.name}"
        )
    return found


def _check_folders(config: Config) -> None:
    """Check that results and resources can be folders."""
    for key, folder in (("results", RunPaths(config).run), ("resources", Path(config.resources))):
        for path in (folder, *folder.parents):
            if path.exists() and not path.is_dir():
                raise RosettaError(f"{key}: {path} is no folder; give another, or remove it")


def _check_weights(config: Config) -> None:
    """Check the files of weights that nobody fetches: those of the user's own, those shipped."""
    from rosetta_core.zoo.weights.checkpoints import file_format
    from rosetta_core.zoo.weights.checksums import verify_weights

    for model in config.models:
        path = RunPaths(config).weights(model)
        if path is None or not isinstance(model.weights, FileWeights | ShippedWeights):
            continue
        if not path.is_file():
            raise RosettaError(
                f"{model.name}: no file of weights at {path}; correct `weights`, or put it there"
            )
        file_format(path)
        if isinstance(model.weights, ShippedWeights):  # small; one of the user's own may not be
            verify_weights(path, model.weights)


def _check_folder(config: Config) -> None:
    """Check that the images of a folder are there and can be read."""
    from rosetta_core.io.images import check_images

    if config.sampling.folder is None:
        return
    folder, results = Path(config.sampling.folder).resolve(), Path(config.results).resolve()
    if folder in (results, *results.parents) or results in folder.parents:
        raise RosettaError(
            f"sampling.folder: {config.sampling.folder} and the results in {config.results} lie "
            "in one another; keep them apart"
        )
    paths = RunPaths(config)
    files = [file for shard in config.shards for file in paths.folder_images(shard)]
    for file in files:
        if "{" in str(file):
            raise RosettaError(f"{file}: Snakemake reads braces as wildcards; rename the file")
    check_images(files, paths.resources / "images")


def _check_kinds(config: Config) -> None:
    """Check what only a built network tells: whether it draws images, and of which classes."""
    from rosetta_core.zoo.model_info import describe

    known = {m.name: describe(m, RunPaths(config).resources) for m in config.models}
    pivot, sampling = known[config.pivot.name], config.sampling
    if sampling.folder is None and not pivot.image_pixels:
        raise RosettaError(
            f"{config.pivot.name}: draws no images; take a generator as the pivot, or images from "
            "sampling.folder"
        )
    for model in config.models:
        if known[model.name].image_pixels and (model != config.pivot or sampling.folder):
            raise RosettaError(f"{model.name}: draws images and cannot look at them")
    if sampling.truncation != 1 and not pivot.supports_truncation:
        raise RosettaError(
            f"sampling.truncation: the target of {config.pivot.name} takes no truncation, but "
            f"{sampling.truncation:g} was given"
        )
    _check_classes(config, pivot.classes)
    check_steering(config, pivot)


def _check_classes(config: Config, classes: int) -> None:
    """Check the classes that are to be drawn by a generator of so many."""
    named = config.sampling.classes or []
    given = [("sampling.classes", label) for label in named]
    for job in config.steering.jobs.values():
        if isinstance(job, PivotalTuning) or (isinstance(job, Edit) and job.source_job):
            continue  # draws what the job that it goes on from drew
        if job.class_label is not None:
            given.append((f"steering: {job.name}: class_label", job.class_label))
        elif classes and len(named) != 1:
            raise RosettaError(
                f"steering: {job.name}: class_label is missing; {config.pivot.name} draws "
                f"{classes} classes"
            )
    for key, label in given:
        if label >= classes:
            has = f"classes 0 to {classes - 1}" if classes else "no classes"
            raise RosettaError(f"{key}: {config.pivot.name} has {has}, but {label} was given")
