"""The result of mining in memory, with figures and pages."""

import html
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.images import ImageSet
from rosetta_core.api.models import Model
from rosetta_core.api.saving import ResultParts, check_target, save_result
from rosetta_core.api.steering.methods import SteerableResult
from rosetta_core.config.sections import Dictionary
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.mining.examples.concepts import write_concept_examples
from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
from rosetta_core.mining.examples.selection import top_examples
from rosetta_core.mining.examples.stores import LayerExamples, StoredConceptExamples
from rosetta_core.mining.matching.topk_store import TopKCollector
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.pages.dictionary.site import write_site
from rosetta_core.pages.figures import concepts_figure, image_figure, write_default_figures

if TYPE_CHECKING:
    from rosetta_core.mining.examples.stores import ConceptExamples

__all__ = ["Mined"]

SHOWN = 10  # concepts in a notebook's table
EXAMPLES = Dictionary().examples  # images per concept and group on pages, as in the configuration


class Mined(SteerableResult):
    """The result of `mine`; tables, images and maps are read as those of a finished run.

    Scores and heat maps of concepts are computed when they are first used, in one more pass over
    the maps.

    Args:
        tables: tables of the result.
        models: the models, the pivot first.
        sources: activation maps by model, the pivot's first.
        images: the images.
        unit_examples: by model and layer the top images of its units.
        neighbours: nearest neighbours of all units.
        min_relative_std: fraction of |mean| below which the std of a dead unit is.
        memory_budget: bytes of working memory.
    """

    def __init__(
        self,
        tables: RunTables,
        *,
        models: Sequence[Model],
        sources: Mapping[str, LiveActivations],
        images: ImageSet,
        unit_examples: Mapping[str, Sequence[LayerExamples]],
        neighbours: TopKCollector,
        min_relative_std: float,
        memory_budget: int,
    ) -> None:
        super().__init__(tables, memory_budget=memory_budget)
        self._models = {model.name: model for model in models}
        self._sources, self._image_set = sources, images
        self._unit_examples, self._neighbours = unit_examples, neighbours
        self._min_relative_std = min_relative_std
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def plot_concept(
        self,
        concept: int | str,
        *,
        examples: int = 4,
        images: Sequence[int] | None = None,
        models: Sequence[str] | None = None,
    ) -> Figure:
        """Draw a concept on its top images, one column per model (figure 3 of the paper).

        Args:
            concept: number or id of the concept.
            examples: number of images, those with the highest concept score.
            images: numbers of the images instead.
            models: models of the columns; None: all.

        Raises:
            RosettaError: there is no such concept, image or model.
        """
        number = self._concept_number(concept)
        if images is None:
            scores = self._concept_examples.scores[number]
            numbers = top_examples(scores, self._duplicates, count=examples)
        else:
            numbers = self._image_numbers(images).tolist()
        return concepts_figure(
            self._tables,
            self._concept_examples,
            shown={number: numbers},
            images=self._read_images,
            models=[self._model_name(model) for model in models or self.models],
            names=self._image_set.captions,
        )

    def plot_image(
        self, image: int, *, concepts: Sequence[int | str] | None = None, count: int = 24
    ) -> Figure:
        """Draw an image and the strongest concepts on it (figure 2 of the paper).

        Args:
            image: number of the image.
            concepts: numbers or ids of the concepts; None: the strongest ones.
            count: number of the strongest ones.

        Raises:
            RosettaError: there is no such image or concept, or there are no concepts.
        """
        self._image_numbers(image)
        whole_number("count", count)
        numbers = [self._concept_number(concept) for concept in concepts or ()]
        if not len(self._tables.concepts):
            raise RosettaError(f"{self.name}: there are no concepts to draw; increase k")
        names = self._image_set.captions
        return image_figure(
            self._tables,
            self._concept_examples,
            image=image,
            images=self._read_images,
            concepts=list(dict.fromkeys(numbers)) or None,
            count=None if numbers else count,
            name=names[image] if names else "",
        )

    def write_site(self, folder: str | Path, *, examples: int = EXAMPLES) -> Path:
        """Write the pages of the dictionary; return the path of the first page.

        Args:
            folder: folder of the pages; it is replaced if it has pages already.
            examples: images per concept and group of examples.

        Raises:
            RosettaError: the folder holds something else.
        """
        if not isinstance(folder, str | Path):
            raise RosettaError(f"folder: {type(folder).__name__} is not a path; give a folder")
        target = Path(folder)
        if target.is_file():
            raise RosettaError(f"{target}: is a file; give a folder")
        if target.exists() and not (target / "index.html").is_file() and any(target.iterdir()):
            raise RosettaError(f"{target}: is not empty and has no pages; give another folder")
        with atomic_path(target) as pages:
            self._write_pages(pages, self._tables, examples=examples)
        return target / "index.html"

    def save(self, folder: str | Path, *, activations: bool = False) -> Path:
        """Save the result as a run folder, like one of the workflow; return its path.

        `open_run`, `rosetta figure`, `export`, `verify`, `compare` and `translate` read it; stages
        and steering jobs are refused. Models that were loaded by name are loaded again when their
        maps are requested; of a network that was given as a module, only the description is saved.

        Args:
            folder: folder of the run, for example results/mine, which is missing or empty. Its name
                is the name of the run.
            activations: also store all activation maps, in one more pass over the images.

        Raises:
            RosettaError: the folder is not empty, its name is not that of a run, or it cannot be
                written.
        """
        target = check_target(folder)
        examples = self._concept_store  # computed before anything is written
        parts = ResultParts(
            tables=self._tables,
            models=list(self._models.values()),
            sources=self._sources,
            images=self._image_set,
            labels=self._labels(),
            unit_examples=self._unit_examples,
            concept_examples=examples,
            neighbours=self._neighbours,
            min_relative_std=self._min_relative_std,
            memory_budget=self._memory_budget,
            write_pages=self._write_pages,
        )
        return save_result(parts, target, activations=activations)

    def _write_pages(self, pages: Path, tables: RunTables, *, examples: int = EXAMPLES) -> None:
        """Write the pages and their figures into a folder that does not exist."""
        pages.mkdir()
        write_site(
            pages,
            tables,
            unit_examples=self._unit_examples,
            concept_examples=self._concept_examples,
            images=self._read_images,
            duplicates=self._duplicates,
            examples=examples,
            origins=self._image_set.captions,
        )
        (pages / "figures").mkdir()
        write_default_figures(
            pages / "figures",
            tables,
            self._concept_examples,
            self._read_images,
            self._duplicates,
            names=self._image_set.captions,
        )

    def _repr_html_(self) -> str:
        """Return a summary and the first concepts, for notebooks."""
        concepts = self._tables.concepts.head(SHOWN)
        shown = pd.DataFrame(
            {
                "concept": concepts["concept"],
                "neurons": concepts["size"],
                "mean correlation": concepts["mean_corr"].map("{:.2f}".format),
                "units of the pivot": [
                    ", ".join(self._unit_label(unit) for unit in units[:3])
                    + (" …" if len(units) > 3 else "")
                    for units in concepts["pivot_units"]
                ],
            }
        )
        hidden = len(self._tables.concepts) - len(concepts)
        more = f"<p>… and {hidden} more in <code>.concepts</code></p>" if hidden > 0 else ""
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{shown.to_html(index=False)}{more}"

    def _unit_label(self, unit: int) -> str:
        row = self._tables.units[self.pivot].iloc[unit]
        return f"{row['layer']}/{row['channel']}"

    def _load_model(self, model: str) -> Model:
        return self._models[model]

    def _pivot_generates(self) -> bool:
        return self._models[self.pivot].is_generator

    def _origins(self) -> list[str]:
        return list(self._image_set.names)

    def _labels(self) -> list[str]:
        return list(self._image_set.label_texts)

    @property
    def _default_class(self) -> int | None:
        classes = self._image_set.classes
        labels = np.unique(classes) if classes is not None else np.zeros(0, np.int64)
        return int(labels[0]) if len(labels) == 1 and labels[0] >= 0 else None

    @property
    def _default_distances(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"encoder": self.encoders[0]}, {"encoder": self.encoders[-1]}

    def _device(self) -> torch.device:
        return self._models[self.pivot].network.device

    def _source(self, model: str) -> ActivationSource:
        return self._sources[model]

    def _read_images(self, images: range) -> NDArray[np.uint8]:
        return self._image_set.read(images)

    @cached_property
    def _duplicates(self) -> NDArray[np.int32]:
        return find_near_duplicates(self._read_images, len(self._image_set))

    @cached_property
    def _concept_examples(self) -> "ConceptExamples":
        return StoredConceptExamples(self._concept_store, self._tables.units)

    @cached_property
    def _concept_store(self) -> Path:
        """Temporary store of the scores and heat maps of concepts, named as in a run."""
        self._folder = tempfile.TemporaryDirectory(prefix="rosetta-")
        store = Path(self._folder.name) / "examples" / "concepts.zarr"
        write_concept_examples(
            store,
            self._tables.rosetta,
            units=self._tables.units,
            maps=self._sources,
            memory_budget=self._memory_budget,
            threads=torch.get_num_threads(),
        )
        return store
