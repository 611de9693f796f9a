"""What steering jobs start from: networks with what the run knows of them, and images.

Networks       of a run, each loaded once
target_image   an image to invert, cropped and resized as the job says
mask_of        where an edit changes units

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rosetta_core.config import Config
from rosetta_core.config.images import DistanceSpec, TargetImage
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from rosetta_core.steering.generator import Pivot
    from rosetta_core.steering.map_targets import EncoderView
    from rosetta_core.steering.metrics.perceptual import PerceptualDistance
    from rosetta_core.zoo.network import Encoder

__all__ = ["Networks", "mask_of", "target_image"]


class Networks:
    """The networks of a run that a steering job uses, each loaded once.

    Attributes:
        config: of the run.
        device: where they are.
    """

    def __init__(self, config: Config) -> None:
        """Nothing is loaded yet."""
        from rosetta_core.runtime.devices import resolve_device

        self.config, self._paths = config, RunPaths(config)
        self.device: torch.device = resolve_device(config.device)
        self._encoders: dict[str, Encoder] = {}

    @cached_property
    def pivot(self) -> "Pivot":
        """The generator, and the run's Rosetta neurons; RosettaError if it found none."""
        from rosetta_core.steering.generator import Pivot
        from rosetta_core.zoo.loading import load_generator

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
                f"run {self.config.run!r} found no Rosetta neurons to steer by; raise neighbours.k"
            )
        units = read_table(self._paths.units(model.name))
        classes = self.config.sampling.classes or []
        label = classes[0] if len(classes) == 1 else None
        return Pivot(model.name, generator, units, neurons, self.device, label)

    def encoder(self, name: str) -> "Encoder":
        """An encoder."""
        from rosetta_core.zoo.loading import load
        from rosetta_core.zoo.network import Encoder

        if name not in self._encoders:
            model = self.config.model(name)
            loaded = load(model, self._paths.weights(model), device=self.device)
            assert isinstance(loaded, Encoder)
            self._encoders[name] = loaded
        return self._encoders[name]

    def seen(self, names: Sequence[str], *, pairs: str) -> list["EncoderView"]:
        """Encoders with their matches: `rosetta` or `best_buddies`."""
        from rosetta_core.steering.map_targets import EncoderView, matched_pairs

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

    def distance(self, perceptual: DistanceSpec) -> "PerceptualDistance":
        """How alike two images look."""
        from dataclasses import replace

        if perceptual.lpips:
            from rosetta_core.steering.metrics.lpips import Lpips

            folder = Path(self.config.resources) / "torch"
            return Lpips(perceptual.lpips, folder=folder, device=self.device)
        from rosetta_core.steering.metrics.perceptual import FeatureDistance

        assert perceptual.encoder
        encoder = self.encoder(perceptual.encoder)
        if perceptual.size:
            seen = encoder.input.model_copy(update={"size": perceptual.size})
            encoder = replace(encoder, input=seen)
        return FeatureDistance(encoder, name=perceptual.encoder, layers=perceptual.layers)


def target_image(target: TargetImage, pivot: "Pivot", *, label: int | None) -> "NDArray[np.uint8]":
    """Return an image to invert (h, w, 3), of the size that the generator draws.

    Args:
        target: the image.
        pivot: the generator.
        label: the class that it draws for the target's seed, None for the run's.
    """
    from rosetta_core.io.images import crop_square, read_image, resize_image
    from rosetta_core.steering.images import sample_image, sketched
    from rosetta_core.steering.optimise.latents import drawn_image

    drawn = drawn_image(pivot, target.seed or 0, label=label)
    if target.seed is not None:
        image = drawn
    elif target.file is not None:
        image = read_image(Path(target.file))
    else:
        image = sample_image(target.sample or "")
    if target.box:
        left, top, side = target.box
        image = crop_square(image, (left, top, side))
    elif target.seed is None:
        image = crop_square(image, None)
    if target.sketch:
        image = sketched(image)
    return resize_image(image, (drawn.shape[0], drawn.shape[1]))


def mask_of(file: Path, *, size: tuple[int, int]) -> "NDArray[np.float32]":
    """Return a mask (h, w) from 0 to 1 out of an image; RosettaError if it has another size."""
    from rosetta_core.io.images import read_image

    image = read_image(file)
    if image.shape[:2] != size:
        height, width = image.shape[:2]
        raise RosettaError(
            f"mask {file}: has {width}×{height} pixels, but the generator draws "
            f"{size[1]}×{size[0]}; give a mask of that size"
        )
    return image.mean(axis=2).astype(np.float32) / 255
