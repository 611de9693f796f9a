"""Interface of edits: target maps, caption and metrics of a kind of edit."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.optimise.loss import Loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget, Similarity

__all__ = ["MapEdit"]


class MapEdit(ABC):
    """A kind of edit.

    Attributes:
        similarity: similarity to the edited maps, unless a job sets another.
        from_source: whether the first restart begins at the latent of the image to edit.
    """

    similarity: ClassVar[Similarity] = "image"
    from_source: ClassVar[bool] = True

    @property
    @abstractmethod
    def caption(self) -> str:
        """The edit in a few words."""

    @property
    def units(self) -> NDArray[np.int64]:
        """Numbers of the units that the edit selects (u,); none if it edits all neurons alike."""
        return np.zeros(0, np.int64)

    @abstractmethod
    def targets(self, generator: SteeredGenerator, maps: Mapping[str, Tensor]) -> list[MapTarget]:
        """Return the target maps (1, u, h, w), standardised, and their weights.

        Args:
            generator: the generator.
            maps: raw maps of the image to edit (1, c, h, w) by layer.

        Raises:
            RosettaError: the edit has no effect or fails on these maps.
        """

    def adjust_loss(
        self,
        loss: Loss,
        generator: SteeredGenerator,
        maps: Mapping[str, Tensor],
        targets: list[MapTarget],
    ) -> Loss:
        """Return the loss with the terms that this kind of edit adds."""
        return loss

    def image_metrics(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> dict[str, float]:
        """Return metrics of the images (h, w, 3) before and after the edit."""
        return {}

    def map_metrics(
        self,
        generator: SteeredGenerator,
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
    ) -> dict[str, float]:
        """Return metrics of the raw maps (1, c, h, w) before and after the edit."""
        return {}
