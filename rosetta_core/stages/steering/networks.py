"""Networks, images and settings of steering jobs, as a run's configuration names them."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.config import Config
from rosetta_core.config.images import DistanceSpec, TargetImage
from rosetta_core.config.steering import Job
from rosetta_core.errors import RosettaError
from rosetta_core.io.images import crop_square, read_image, read_mask, resize_image
from rosetta_core.io.tables import read_table
from rosetta_core.mining.matching.concept_ids import find_concept
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.images import sample_image, sketch_image
from rosetta_core.steering.map_targets import EncoderView, matched_pairs
from rosetta_core.steering.metrics.perceptual import FeatureDistance, PerceptualDistance
from rosetta_core.steering.optimise.latents import generate_image
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.zoo.loading import load, load_generator
from rosetta_core.zoo.network import Encoder

__all__ = [
    "SteeringNetworks",
    "build_distance",
    "concept_units",
    "description_of",
    "load_mask",
    "load_target",
    "settings_of",
]

Settings = TypeVar("Settings", bound=OptimisationSettings)


class SteeringNetworks:
    """The networks of a run that a steering job uses, each loaded once, when it is needed.

    Attributes:
        config: configuration of the run.
        device: device of the networks.
    """

    def __init__(self, config: Config) -> None:
        """Load nothing yet."""
        self.config, self._paths = config, RunPaths(config)
        self.device: torch.device = resolve_device(config.device)
        self._encoders: dict[str, Encoder] = {}

    @cached_property
    def generator(self) -> SteeredGenerator:
        """The pivot with the run's Rosetta neurons; RosettaError if the run has none."""
        model = self.config.pivot
        generator = load_generator(
            model,
            self._paths.weights(model),
            device=self.device,
            truncation=self.config.sampling.truncation,
        )
        neurons = np.unique(read_table(self._paths.rosetta)["pivot_unit"].to_numpy(np.int64))
        if not len(neurons):
            raise RosettaError(
                f"run {self.config.run!r}: has no Rosetta neurons to steer by; raise neighbours.k"
            )
        units = read_table(self._paths.units(model.name))
        classes = self.config.sampling.classes or []
        default_class = classes[0] if len(classes) == 1 else None
        return SteeredGenerator(model.name, generator, units, neurons, self.device, default_class)

    def encoder(self, name: str) -> Encoder:
        """Return an encoder of the run."""
        if name not in self._encoders:
            model = self.config.model(name)
            encoder = load(model, self._paths.weights(model), device=self.device)
            assert isinstance(encoder, Encoder)
            self._encoders[name] = encoder
        return self._encoders[name]

    def views(
        self, names: Sequence[str], *, pairs: Literal["rosetta", "best_buddies"]
    ) -> list[EncoderView]:
        """Return encoders of the run with their pairs; see `matched_pairs`."""
        rosetta = read_table(self._paths.rosetta)
        return [
            EncoderView(
                name,
                self.encoder(name),
                read_table(self._paths.units(name)),
                matched_pairs(
                    name,
                    rosetta=rosetta,
                    best_buddies=read_table(self._paths.best_buddies(name)),
                    pairs=pairs,
                ),
            )
            for name in names
        ]

    def distance(self, spec: DistanceSpec) -> PerceptualDistance:
        """Return a perceptual distance."""
        resources = Path(self.config.resources)
        return build_distance(spec, self.encoder, resources=resources, device=self.device)


def build_distance(
    spec: DistanceSpec,
    encoder: Callable[[str], Encoder],
    *,
    resources: Path,
    device: torch.device,
) -> PerceptualDistance:
    """Return the perceptual distance of a specification.

    Args:
        spec: the specification.
        encoder: returns an encoder by name.
        resources: folder of fetched weights.
        device: device of the images.
    """
    if spec.lpips:
        from rosetta_core.steering.metrics.lpips import Lpips

        return Lpips(spec.lpips, folder=resources / "torch", device=device)
    assert spec.encoder
    chosen = encoder(spec.encoder)
    if spec.size:
        resized = chosen.input.model_copy(update={"size": spec.size})
        chosen = replace(chosen, input=resized)
    return FeatureDistance(chosen, name=spec.encoder, layers=spec.layers)


def load_target(
    target: TargetImage,
    generator: SteeredGenerator,
    *,
    class_label: int | None,
    max_pixels: int | None,
) -> NDArray[np.uint8]:
    """Return an image to invert (h, w, 3), of the size of the generator's images.

    Args:
        target: the image.
        generator: the generator.
        class_label: class of the image of a seed; None for the generator's default class.
        max_pixels: largest image file, as in `read_image`.
    """
    generated = generate_image(generator, target.seed or 0, class_label=class_label)
    if target.seed is not None:
        image = generated
    elif target.file is not None:
        path = Path(target.file)
        image = read_image(path, bit_depth=target.bit_depth, max_pixels=max_pixels)
    else:
        image = sample_image(target.sample or "")
    if target.box:
        left, top, side = target.box
        image = crop_square(image, (left, top, side))
    elif target.seed is None:
        image = crop_square(image, None)
    if target.sketch:
        image = sketch_image(image)
    return resize_image(image, (generated.shape[0], generated.shape[1]))


def load_mask(
    file: Path, *, size: tuple[int, int], max_pixels: int | None = None
) -> NDArray[np.float32]:
    """Return an image file as a mask (h, w) from 0 to 1.

    Args:
        file: the image file.
        size: height and width of the generator's images.
        max_pixels: largest image file, as in `read_image`.

    Raises:
        RosettaError: the file is not an image of that size, or has no bright pixel.
    """
    mask = read_mask(file, max_pixels=max_pixels)
    if mask.shape != size:
        height, width = mask.shape
        raise RosettaError(
            f"mask {file}: has {width}×{height} pixels, but the generator's images have "
            f"{size[1]}×{size[0]}; give a mask of that size"
        )
    return mask


def settings_of(kind: type[Settings], job: Job) -> Settings:
    """Return the settings of an optimisation, whose names are those of the configuration."""
    return kind(**{field.name: getattr(job, field.name) for field in fields(kind)})


def description_of(job: Job) -> dict[str, Any]:
    """Return how a job describes itself in its folder."""
    return {"name": job.name, "settings": job.model_dump(mode="json")}


def concept_units(config: Config, concept: int | str) -> tuple[int, NDArray[np.int64]]:
    """Return the number and the Rosetta neurons of a concept; RosettaError if it is unknown."""
    paths, pivot = RunPaths(config), config.pivot.name
    concepts = read_table(paths.concepts)
    if isinstance(concept, str):
        concept = find_concept(
            concept,
            run=config.run,
            pivot=pivot,
            rosetta=read_table(paths.rosetta),
            units=read_table(paths.units(pivot)),
        )
    if not 0 <= concept < len(concepts):
        known = f"they are 0 to {len(concepts) - 1}" if len(concepts) else "there are none"
        raise RosettaError(f"no concept {concept} in run {config.run!r}; {known}")
    return concept, np.array(concepts["pivot_units"].iloc[concept], np.int64)
