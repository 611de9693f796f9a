"""Results of mining with their models: what new images need besides the tables.

`Run` and `Mined` share these methods.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from rosetta_core.mining.results import MiningResult, Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from rosetta_core.api.models import Model
    from rosetta_core.api.scoring.scores import Scores

__all__ = ["Result"]


class Result(MiningResult):
    """A result of mining whose models can process new images."""

    @abstractmethod
    def _load_model(self, model: str) -> "Model":
        """Return a model of the result; a network is loaded once."""

    @abstractmethod
    def _pivot_generates(self) -> bool:
        """Return whether the pivot is a generator."""

    @abstractmethod
    def _origins(self) -> list[str]:
        """Return the file or another name of each image; empty if they have none."""

    @abstractmethod
    def _labels(self) -> list[str]:
        """Return the label of each image, "" for none; empty if none has one."""

    def model(self, model: str) -> "Model":
        """Return a model of the result, for example to draw images with `sample`.

        Raises:
            RosettaError: there is no such model, or its weights are missing.
        """
        return self._load_model(self._model_name(model))

    @property
    def image_table(self) -> pd.DataFrame:
        """Images, one row each: image (number), name and label; NaN where there is none."""
        from rosetta_core.api.images.image_set import image_table

        return image_table(self._tables.images, self._origins(), self._labels())

    def score(
        self,
        images: Any,
        *,
        concepts: Sequence[int | str] | int | str | None = None,
        units: Sequence[Unit] | str = (),
        models: Sequence[str] | None = None,
        latents: "NDArray[np.float32] | Tensor | None" = None,
        size: int | None = None,
        count: int | None = None,
        column: str | None = None,
        bit_depth: int | None = None,
        memory_budget: str | None = None,
    ) -> "Scores":
        """Compute how strongly concepts and units fire on new images.

        Scores are the concept scores of the dictionary, computed with the mean and std of the mined
        images. All encoders are used, and the pivot if possible: a generator needs latents. Without
        the pivot, the score is the mean product between units of two encoders that are best buddies
        of the same Rosetta neuron; with a single encoder, the mean square of the positive part of
        the maps of its units. Scores by different models are on different scales.

        Args:
            images: images as `rosetta_core.images` takes them; they are read in batches. Images
                that the pivot drew (`sample`) have their latents with them.
            concepts: numbers or ids of the concepts; None: all, or none if there are units.
            units: ids of units; their score is their peak, in std above the mean.
            models: models to use; None: all that can process the images.
            latents: latents (n, z) of the images, for example of an inversion, for a generator.
            size: side of encoded images in pixels; None: that of the mined images.
            count: number of images to read, the first ones; None: all.
            column: column of images in rows, or their suffix in archives.
            bit_depth: bits of the values in 16-bit files.
            memory_budget: working memory, for example "2 GiB"; None: that of the result.

        Raises:
            RosettaError: there is no such concept, unit or model, a unit's model is not used,
                weights are missing, or the images cannot be read.
        """
        from rosetta_core.api.scoring.score_images import score_images

        return score_images(
            self,
            images,
            concepts=concepts,
            units=units,
            models=models,
            latents=latents,
            size=size,
            count=count,
            column=column,
            bit_depth=bit_depth,
            memory_budget=memory_budget,
        )
