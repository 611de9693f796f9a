"""Checks of steering jobs before a run.

Imports are inside functions: the checks import what a configuration needs, and torch takes seconds.
"""

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.config.edits import Edit
from rosetta_core.config.images import TargetImage
from rosetta_core.config.steering import Evaluation, Inversion, Job, PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.zoo.layers import Layer
    from rosetta_core.zoo.model_info import ModelInfo

__all__ = ["check_steering", "check_units"]


def check_steering(config: Config, pivot: "ModelInfo") -> None:
    """Check latent spaces, compared layers, and the files that steering jobs name.

    Args:
        config: the configuration.
        pivot: description of the pivot.

    Raises:
        RosettaError: the pivot has no such latent space, an encoder no such layer; a file is
            missing or unreadable; a box or a mask does not fit its image.
    """
    from rosetta_core.zoo.model_info import describe

    jobs = config.steering
    for job in jobs.jobs.values():
        if not isinstance(job, PivotalTuning) and job.space not in pivot.latent_spaces:
            raise RosettaError(
                f"steering: {job.name}: space: {config.pivot.name} has no latent space "
                f"{job.space!r}; it has {', '.join(pivot.latent_spaces)}"
            )
    for key, distance in (
        ("loss", jobs.perceptual.loss),
        ("evaluation", jobs.perceptual.evaluation),
    ):
        if distance and distance.encoder and distance.layers:
            model = config.model(distance.encoder)
            compared = model.model_copy(update={"layers": distance.layers})
            try:
                describe(compared, RunPaths(config).resources)
            except RosettaError as error:
                raise RosettaError(f"steering.perceptual.{key}: {error}") from error
    for job in jobs.jobs.values():
        try:
            _check_files(config, job)
            if isinstance(job, Edit) and job.mask is not None:
                _check_mask(config, job.mask, pivot.image_pixels)
        except RosettaError as error:
            raise RosettaError(f"steering: {job.name}: {error}") from error


def _check_files(config: Config, job: Job) -> None:
    """Check the images and the function of a job."""
    targets: list[TargetImage] = []
    if isinstance(job, Inversion | Evaluation):
        targets = [target for target in job.targets if target.file is not None]
    images = [(Path(target.file or ""), target.bit_depth) for target in targets]
    if isinstance(job, Edit) and job.mask:
        images.append((Path(job.mask), 16))  # dark masks are refused with a line of their own
    function = job.function if isinstance(job, Edit) else None
    paths = [path for path, _ in images]
    for path in [*paths, *([Path(function.rpartition(":")[0])] if function else [])]:
        if not path.is_file():
            raise RosettaError(f"no file {str(path)!r}; give an existing file")
    if images:
        from rosetta_core.io.image_files import check_images
        from rosetta_core.io.images import crop_square, read_image

        for bit_depth in dict.fromkeys(depth for _, depth in images):
            files = [path for path, depth in images if depth == bit_depth]
            cache = RunPaths(config).resources / "images"
            unique = list(dict.fromkeys(files))
            check_images(unique, cache, bit_depth=bit_depth, max_pixels=config.max_pixels)
        for target in targets:
            if target.box:
                left, top, side = target.box
                image = read_image(
                    Path(target.file or ""),
                    bit_depth=target.bit_depth,
                    max_pixels=config.max_pixels,
                )
                crop_square(image, (left, top, side))
    if function:
        from rosetta_core.runtime.user_code import fingerprint

        fingerprint(function, key="function")


def _check_mask(config: Config, mask: str, pixels: int) -> None:
    """Check that a mask has the size of the pivot's images, and bright pixels."""
    from rosetta_core.io.images import MAX_BIT_DEPTH, read_image, read_mask

    image = read_image(Path(mask), bit_depth=MAX_BIT_DEPTH, max_pixels=config.max_pixels)
    height, width = image.shape[:2]
    if height * width != pixels:
        side = isqrt(pixels)
        raise RosettaError(
            f"mask: {mask} has {width}×{height} pixels, but images of {config.pivot.name} have "
            f"{side}×{side}; give a mask of that size"
        )
    read_mask(Path(mask), max_pixels=config.max_pixels)


def check_units(config: Config, layers: list["Layer"]) -> None:
    """Check the units that steering jobs name.

    Args:
        config: the configuration.
        layers: the mined layers of the pivot.

    Raises:
        RosettaError: the pivot has no such unit.
    """
    jobs = config.steering
    channels = {layer.name: layer.channels for layer in layers}
    units_by_job = [(job.name, [job.unit]) for job in jobs.show if job.unit]
    units_by_job += [(job.name, job.units or []) for job in jobs.edit]
    for name, units in units_by_job:
        for unit in units:
            layer, _, channel = unit.removeprefix(f"{config.pivot.name}/").rpartition("/")
            number = int(channel) if channel.isascii() and channel.isdecimal() else -1
            if not 0 <= number < channels.get(layer, 0):
                raise RosettaError(
                    f"steering: {name}: no unit {unit!r} of {config.pivot.name}; write "
                    f"layer/channel, with one of the layers {', '.join(channels)}"
                )
