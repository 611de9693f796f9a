"""What can be wrong with steering jobs, before a run.

check_steering    latent spaces, compared layers, images, masks and functions
check_units       units of the generator

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.config.images import TargetImage
from rosetta_core.config.steering import Edit, Evaluation, Inversion, Job, PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.zoo.layers import Layer
    from rosetta_core.zoo.model_info import ModelInfo

__all__ = ["check_steering", "check_units"]


def check_steering(config: Config, pivot: "ModelInfo") -> None:
    """Check what steering jobs ask of the networks, and the files that they name.

    Raises:
        RosettaError: a latent space or a layer that isn't there, a file that is missing or can't be
            read, a box or a mask that doesn't fit its image.
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
            chosen = model.model_copy(update={"layers": distance.layers})
            try:
                describe(chosen, RunPaths(config).resources)
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
    named = [target.file for target in targets]
    if isinstance(job, Edit):
        named.append(job.mask)
    images = [Path(file) for file in dict.fromkeys(named) if file]
    function = job.function if isinstance(job, Edit) else None
    for path in [*images, *([Path(function.rpartition(":")[0])] if function else [])]:
        if not path.is_file():
            raise RosettaError(f"no file {str(path)!r}; give one that is there")
    if images:
        from rosetta_core.io.images import check_images, crop_square, read_image

        check_images(images, RunPaths(config).resources / "images")
        for target in targets:
            if target.box:
                left, top, side = target.box
                crop_square(read_image(Path(target.file or "")), (left, top, side))
    if function:
        from rosetta_core.runtime.user_code import fingerprint

        fingerprint(function, key="function")


def _check_mask(config: Config, mask: str, pixels: int) -> None:
    """Check that a mask is as large as the images that the generator draws."""
    from rosetta_core.io.images import read_image

    height, width = read_image(Path(mask)).shape[:2]
    if height * width != pixels:
        side = isqrt(pixels)
        raise RosettaError(
            f"mask: {mask} has {width}×{height} pixels, but {config.pivot.name} draws "
            f"{side}×{side}; give a mask of that size"
        )


def check_units(config: Config, layers: list["Layer"]) -> None:
    """Check the units that steering jobs name."""
    jobs = config.steering
    known = {layer.name: layer.channels for layer in layers}
    named = [(job.name, [job.unit]) for job in jobs.show if job.unit]
    named += [(job.name, job.units or []) for job in jobs.edit]
    for name, units in named:
        for unit in units:
            layer, _, channel = unit.removeprefix(f"{config.pivot.name}/").rpartition("/")
            number = int(channel) if channel.isascii() and channel.isdecimal() else -1
            if not 0 <= number < known.get(layer, 0):
                raise RosettaError(
                    f"steering: {name}: no unit {unit!r} of {config.pivot.name}; write "
                    f"layer/channel, with one of the layers {', '.join(known)}"
                )
