"""Results of mining with their models: what new images need besides the tables.

`Run` and `Mined` share these methods.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

import pandas as pd

from rosetta_core.mining.results import MiningResult

if TYPE_CHECKING:
    from rosetta_core.api.models import Model

__all__ = ["Result"]


class Result(MiningResult):
    """A result of mining whose models can process new images."""

    @abstractmethod
    def _load_model(self, model: str) -> "Model":
        """Return a model of the result; a network is loaded once."""

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
