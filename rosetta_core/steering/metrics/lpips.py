"""LPIPS (Zhang et al., 2018): a perceptual distance fitted to human judgements of similarity.

Version 0.1, as distributed with torchmetrics. `perceptual` documents the formula.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
from torchvision import models

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.download import UnreachableError, download
from rosetta_core.zoo.weights.local import FileWeights

__all__ = ["Lpips"]

BACKBONES = {
    "alex": ("alexnet", models.AlexNet_Weights.DEFAULT),
    "vgg": ("vgg16", models.VGG16_Weights.DEFAULT),
    "squeeze": ("squeezenet1_1", models.SqueezeNet1_1_Weights.DEFAULT),
}


class Lpips(PerceptualDistance):
    """LPIPS with one of three ImageNet classifiers as its backbone."""

    def __init__(
        self, net: Literal["alex", "vgg", "squeeze"], *, folder: Path, device: torch.device
    ) -> None:
        """Load the fitted weights and the backbone.

        Args:
            net: backbone: AlexNet, VGG-16 or SqueezeNet 1.1.
            folder: folder with torch.hub's layout: torchvision's weights are in its
                `checkpoints`, and are downloaded if they are missing.
            device: device of the images.

        Raises:
            RosettaError: the weights are missing and cannot be downloaded, or are not those of
                the backbone.
        """
        self.name = f"LPIPS ({net})"
        architecture, weights = BACKBONES[net]
        path = folder / "checkpoints" / Path(weights.url).name
        if not path.is_file():
            _download(weights.url, path, name=self.name)
        # checks a file that was put there by hand, with an error of one line
        load_weights(
            models.get_model(architecture), path, Reading(weights=FileWeights(file=str(path)))
        )
        with _hub_folder(folder):
            self._network = LearnedPerceptualImagePatchSimilarity(net).net.to(device)
        self._network.requires_grad_(False)
        # each head is a dropout, inactive in evaluation mode, and weights (1, c, 1, 1)
        self.weights = [next(head.parameters())[0] for head in self._network.lins]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (n, c, h, w) of images (n, 3, h, w) in -1..1, by layer."""
        return list(self._network.net(self._network.scaling_layer(images)))


def _download(url: str, path: Path, *, name: str) -> None:
    """Download weights whose file name ends in the first digits of their SHA-256."""
    digits = path.stem.rpartition("-")[2]
    try:
        with atomic_path(path) as temporary:
            try:
                download(url, temporary)
            finally:  # nothing is resumed
                temporary.with_name(f"{temporary.name}.json").unlink(missing_ok=True)
            if not file_sha256(temporary).startswith(digits):
                raise UnreachableError(url, f"its SHA-256 does not start with {digits}")
    except UnreachableError as error:
        raise RosettaError(
            f"{name}: {url} cannot be downloaded ({error.reason}); "
            f"put {path.name} at {path} by hand, "
            "or use the features of an encoder as the distance"
        ) from error


@contextmanager
def _hub_folder(folder: Path) -> Iterator[None]:
    """Let torchvision read weights from a folder."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(folder)
    try:
        yield
    finally:
        torch.hub.set_dir(before)
