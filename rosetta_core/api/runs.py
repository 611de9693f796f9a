"""A finished run, opened for reading: tables, images, activation maps and correlations.

Tables are read when the run is opened, arrays when they are requested.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rosetta_core.api.steering.methods import SteerableResult
from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.runs.finished.location import relocated_config
from rosetta_core.runs.finished.run_tables import read_run_tables
from rosetta_core.runs.paths import RunPaths
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    import torch

    from rosetta_core.api.models import Model
    from rosetta_core.mining.examples.stores import ConceptExamples
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["Run", "open_run"]


def open_run(path: str | Path, *, trust_code: bool = False) -> "Run":
    """Open the run in a folder, which may have been moved or copied.

    Weights and the user's own code files are needed only if the run stores no activation maps.
    Relative paths are resolved from the working directory or, if a file does not exist there, from
    the folder that contains the folder of results.

    Args:
        path: folder of the run, for example results/faces.
        trust_code: whether `Run.maps` may execute Python code that the configuration of the run
            names, in a run without stored maps. A run may come from others, and its code could do
            anything; read it first.

    Raises:
        RosettaError: the folder is not a finished run, or a table is missing, damaged, or of
            another run.
    """
    config = relocated_config(path)
    return Run(config, read_run_tables(config), trust_code=trust_code)


class Run(SteerableResult):
    """A finished run, as `open_run` returns it.

    Args:
        config: configuration of the run, with the current paths of its folders.
        tables: tables of the run.
        trust_code: whether `maps` may execute Python code that the configuration names.

    Attributes:
        config: configuration of the run, with the current paths of its folders.
    """

    def __init__(self, config: Config, tables: RunTables, *, trust_code: bool = False) -> None:
        super().__init__(tables, memory_budget=parse_bytes(config.memory_budget))
        self.config = config
        self._trust_code = trust_code
        self._paths = RunPaths(config)
        self._sources: dict[str, ActivationSource] = {}
        self._models: dict[str, Model] = {}

    def _stored_correlations(self, model: str) -> NDArray[np.float32] | None:
        from rosetta_core.mining.correlation.store import read_correlations

        if not self.config.keeps_matrix:
            return None
        return read_correlations(self._paths.correlations(model))

    def _not_kept(self) -> str:
        if self.config.keeps_matrix or self.config.origin == "memory":
            return ""
        return (
            f"run {self.name!r}: only the {self.config.partners} highest correlations of each "
            "unit were stored; compute them from the maps by naming both models, or run it "
            "again with correlation.keep_matrix: true"
        )

    def _device(self) -> "torch.device":
        from rosetta_core.runtime.devices import resolve_device

        return resolve_device(self.config.device)

    @cached_property
    def _samples(self) -> "Samples":
        from rosetta_core.mining.sampling.samples import Samples

        samples = Samples(self._paths.sample_stores)
        _check_count(samples.count, self.config, "samples")
        return samples

    def _read_images(self, images: range) -> NDArray[np.uint8]:
        return self._samples.images(images)

    @cached_property
    def _concept_examples(self) -> "ConceptExamples":
        from rosetta_core.mining.examples.stores import StoredConceptExamples

        return StoredConceptExamples(self._paths.concept_examples, self._tables.units)

    def _pivot_generates(self) -> bool:
        return self._tables.folder is None

    def _origins(self) -> list[str]:
        return self._samples.file_names()

    def _labels(self) -> list[str]:
        if labels := self._samples.labels():
            return labels
        return [] if self._origins() else self._samples.origins()  # "class 3", where there is one

    def _load_model(self, model: str) -> "Model":
        from rosetta_core.api.models import model_of_run

        if model not in self._models:
            self._check_code(model, "running the network")
            self._check_weights(model)
            self._models[model] = model_of_run(self.config, model)
        return self._models[model]

    @property
    def _default_class(self) -> int | None:
        classes = self.config.sampling.classes or []
        return classes[0] if len(classes) == 1 else None

    @property
    def _default_distances(self) -> tuple[dict[str, Any], dict[str, Any]]:
        loss, evaluation = self.config.loss_distance, self.config.evaluation_distance
        return loss.model_dump(), evaluation.model_dump()

    def _check_code(self, model: str, action: str) -> None:
        """Refuse to execute code that the configuration names, unless it is trusted."""
        target = self.config.model(model).target
        if target and not self._trust_code:
            raise RosettaError(
                f"{model}: {action} executes {target!r}, code that came with the run; read it, "
                "then use open_run(…, trust_code=True)"
            )

    def _check_weights(self, model: str) -> None:
        """Refuse to run a network whose weights are not those that were mined."""
        from rosetta_core.runs.provenance.weights import stale_stores

        for stale in stale_stores(self.config, self.config.model(model), remember=False):
            raise RosettaError(str(stale))

    def _source(self, model: str) -> "ActivationSource":
        """Return a model's activation source; a network is loaded once."""
        from rosetta_core.runs.sources import activation_source

        if not self.config.stores_activations:
            self._check_code(model, "the run stores no maps, and computing them")
        if model not in self._sources:
            if not self.config.stores_activations:
                self._check_weights(model)
            source = activation_source(self.config, model)
            _check_count(source.images, self.config, f"maps of {model}")
            self._sources[model] = source
        return self._sources[model]


def _check_count(found: int, config: Config, what: str) -> None:
    """Check that stores have the images of the configuration; RosettaError otherwise."""
    if found != config.sampling.images:
        raise RosettaError(
            f"run {config.run!r}: has {what} for {found} images, not for {config.sampling.images}; "
            "run it again"
        )
