"""Results of mining that steer their generator: `Mined` and `Run` share these methods."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.api.results import Result
from rosetta_core.api.steering.options import (
    EditOptions,
    InversionOptions,
    ShowOptions,
    TuningOptions,
    takes_options,
)
from rosetta_core.config.edits import Edit, EditKind
from rosetta_core.config.steering import ActivationMaximisation, Inversion, PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.mining.named_tables import COLUMNS, best_buddies_table, units_table

if TYPE_CHECKING:
    from rosetta_core.api.models import Model
    from rosetta_core.api.steering.models import Distance
    from rosetta_core.api.steering.results import SteeringResult, TuningResult
    from rosetta_core.steering.jobs.transform_edits import EditFunction

__all__ = ["SteerableResult"]

STATISTICS = ["mean", "std"]


class SteerableResult(Result):
    """A result of mining whose pivot, a generator, can be steered."""

    @property
    @abstractmethod
    def _default_class(self) -> int | None:
        """Class that is generated unless an option names one; None: none."""

    @property
    @abstractmethod
    def _default_distances(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Perceptual distances of the loss and of evaluation, as in a configuration."""

    def pairs(
        self,
        concept: int | str | None = None,
        *,
        encoders: str | Sequence[str] | None = None,
        kind: Literal["rosetta", "best_buddies"] = "rosetta",
    ) -> pd.DataFrame:
        """Return pairs of units of the pivot and the encoders, with their statistics.

        Args:
            concept: number or id of the concept of the pivot's units; None: all.
            encoders: names of the encoders; None: all.
            kind: rosetta for pairs of Rosetta neurons, best_buddies for all best buddies.

        Returns:
            Columns of `best_buddies`, and pivot_mean, pivot_std, mean and std of the units over the
            images; for each encoder in descending order of correlation.

        Raises:
            RosettaError: there is no such concept or encoder, or an encoder has no pairs.
        """
        from rosetta_core.steering.map_targets import matched_pairs

        if kind not in ("rosetta", "best_buddies"):
            raise RosettaError(f"kind: {kind!r} is not a kind of pairs; use rosetta, best_buddies")
        names = self._encoder_names(encoders)
        neurons = None if concept is None else self._neurons(concept)
        parts = []
        for name in names:
            numbers = matched_pairs(
                name,
                rosetta=self._tables.rosetta,
                best_buddies=self._tables.best_buddies[name],
                pairs=kind,
            )
            if neurons is not None:
                numbers = numbers[np.isin(numbers[:, 0], neurons)]
            parts.append(pd.DataFrame(numbers, columns=["pivot_unit", "unit"]).assign(model=name))
        buddies = best_buddies_table(self._tables, names)
        table = pd.concat(parts).merge(buddies, on=["model", "pivot_unit", "unit"])
        pivot = self.units(self.pivot)[["unit", *STATISTICS]].add_prefix("pivot_")
        units = units_table(self._tables, names)[["model", "unit", *STATISTICS]]
        table = table.merge(pivot, on="pivot_unit").merge(units, on=["model", "unit"])
        return table[[*COLUMNS["best_buddies"], "pivot_mean", "pivot_std", *STATISTICS]]

    def neurons(self, concept: int | str | None = None) -> pd.DataFrame:
        """Return the Rosetta neurons, one row each, in the order of the pivot's units.

        Args:
            concept: number or id of their concept; None: all.

        Returns:
            Columns of `units`, and concept.

        Raises:
            RosettaError: there is no such concept, or there are no Rosetta neurons.
        """
        concepts = self._tables.rosetta.drop_duplicates("pivot_unit")[["pivot_unit", "concept"]]
        if concept is not None:
            concepts = concepts[concepts["pivot_unit"].isin(self._neurons(concept))]
        if concepts.empty:
            raise RosettaError(f"{self.name}: there are no Rosetta neurons; increase k")
        concepts = concepts.rename(columns={"pivot_unit": "unit"})
        return self.units(self.pivot).merge(concepts, on="unit")

    @takes_options(Inversion)
    def invert(
        self,
        image: Any,
        concept: int | str | None = None,
        *,
        encoders: str | Sequence[str] | None = None,
        pairs: Literal["rosetta", "best_buddies"] = "rosetta",
        generator: "Model | None" = None,
        loss_distance: "Distance | None" = None,
        evaluation_distance: "Distance | None" = None,
        **options: Unpack[InversionOptions],
    ) -> "SteeringResult":
        """Find latents whose activation maps match those of the encoders on images.

        Args:
            image: one image or several, as in `rosetta_core.invert`.
            concept: number or id of the concept whose pairs guide the inversion; None: all pairs.
            encoders: names of the encoders that guide it; None: all.
            pairs: rosetta for pairs of Rosetta neurons, best_buddies for all best buddies.
            generator: a tuned copy of the pivot; None: the pivot.
            loss_distance: perceptual distance in the loss; None: that of the configuration.
            evaluation_distance: perceptual distance that measures the results; None: that of the
                configuration.
            **options: as in `rosetta_core.invert`.

        Raises:
            RosettaError: an argument is wrong, or the loss is not finite.
        """
        from rosetta_core.api.steering.functions import invert

        table = self.pairs(concept, encoders=encoders, kind=pairs)
        loss, evaluation = self._default_distances
        return invert(
            self._generator(generator),
            image,
            table,
            encoders=[self.model(name) for name in self._encoder_names(encoders)],
            loss_distance=self._distance(loss_distance, loss),
            evaluation_distance=self._distance(evaluation_distance, evaluation),
            **self._with_class(options),
        )

    @takes_options(ActivationMaximisation)
    def show(
        self,
        concept: int | str | None = None,
        *,
        unit: str | None = None,
        generator: "Model | None" = None,
        **options: Unpack[ShowOptions],
    ) -> "SteeringResult":
        """Optimise random latents so that a concept or a unit becomes more active.

        Args:
            concept: number or id of the concept.
            unit: a unit of the pivot instead, layer/channel.
            generator: a tuned copy of the pivot; None: the pivot.
            **options: as in `rosetta_core.show`.

        Raises:
            RosettaError: an argument is wrong, or the loss is not finite.
        """
        from rosetta_core.api.steering.functions import show

        table = self._selected(concept, unit, name="show", key="unit")
        return show(self._generator(generator), table, **self._with_class(options))

    @takes_options(Edit)
    def edit(
        self,
        latents: Any,
        kind: EditKind,
        *,
        concept: int | str | None = None,
        units: str | Sequence[str] | None = None,
        mask: Any = None,
        function: "EditFunction | None" = None,
        generator: "Model | None" = None,
        evaluation_distance: "Distance | None" = None,
        **options: Unpack[EditOptions],
    ) -> "SteeringResult":
        """Change images through the activation maps of the Rosetta neurons.

        Args:
            latents: images to edit: latents, seeds or a result, as in `rosetta_core.edit`.
            kind: zoom, shift, copy_paste, remove, add or custom.
            concept: remove, add: number or id of the concept that changes.
            units: remove, add: units of the pivot instead, layer/channel.
            mask: remove, add: where units may change, as in `rosetta_core.edit`.
            function: custom: function of maps, as in `rosetta_core.edit`.
            generator: a tuned copy of the pivot; None: the pivot.
            evaluation_distance: perceptual distance between the images before and after; None: that
                of the configuration.
            **options: as in `rosetta_core.edit`.

        Raises:
            RosettaError: an argument is wrong, the edit has no effect, or the loss is not finite.
        """
        from rosetta_core.api.steering.functions import edit

        selected = None
        if kind in ("remove", "add") or concept is not None or units is not None:
            selected = self._selected(concept, units, name=f"edit: {kind}", key="units")
        return edit(
            self._generator(generator),
            latents,
            kind,
            self.neurons(),
            units=selected,
            mask=mask,
            function=function,
            evaluation_distance=self._distance(evaluation_distance, self._default_distances[1]),
            **self._with_class(options, latents),
        )

    @takes_options(PivotalTuning)
    def tune(
        self,
        latents: Any,
        image: Any = None,
        *,
        loss_distance: "Distance | None" = None,
        evaluation_distance: "Distance | None" = None,
        **options: Unpack[TuningOptions],
    ) -> "TuningResult":
        """Fine-tune a copy of the pivot until a latent produces an image (pivotal tuning).

        Args:
            latents: latent of the image, or the result of `invert` for one image.
            image: the image; None: the image that was inverted.
            loss_distance: perceptual distance in the loss; None: that of the configuration.
            evaluation_distance: perceptual distance that measures the result; None: that of the
                configuration.
            **options: as in `rosetta_core.tune`.

        Raises:
            RosettaError: an argument is wrong, or the loss is not finite.
        """
        from rosetta_core.api.steering.functions import tune

        loss, evaluation = self._default_distances
        return tune(
            self.model(self.pivot),
            latents,
            image,
            loss_distance=self._distance(loss_distance, loss),
            evaluation_distance=self._distance(evaluation_distance, evaluation),
            **self._with_class(options, latents),
        )

    def _neurons(self, concept: int | str) -> NDArray[np.int64]:
        """Return the Rosetta neurons of a concept; RosettaError if there is no such concept."""
        number = self._concept_number(concept)
        rows = self._tables.rosetta
        return rows.loc[rows["concept"] == number, "pivot_unit"].unique().astype(np.int64)

    def _selected(
        self,
        concept: int | str | None,
        units: str | Sequence[str] | None,
        *,
        name: str,
        key: str,
    ) -> pd.DataFrame:
        """Return a concept's Rosetta neurons or named units; RosettaError unless one is given."""
        if (concept is None) == (units is None):
            both = "both are given" if units is not None else "neither is given"
            raise RosettaError(f"{name}: give concept or {key}; {both}")
        if concept is not None:
            return self.neurons(concept)
        several = isinstance(units, Iterable) and not isinstance(units, str)
        names: list[Any] = list(units or ()) if several else [units]
        if not names or not all(isinstance(unit, str) for unit in names):
            raise RosettaError(f"{name}: {key}: {units!r} is not layer/channel of {self.pivot}")
        prefix = f"{self.pivot}/"
        ids = [unit if unit.startswith(prefix) else prefix + unit for unit in names]
        numbers = [self._find_unit(unit)[1] for unit in ids]
        return self.units(self.pivot).iloc[numbers].reset_index(drop=True)

    def _encoder_names(self, encoders: str | Sequence[str] | None) -> list[str]:
        """Return the names of some encoders or of all; RosettaError if one is unknown."""
        if encoders is None:
            return self.encoders
        names = [encoders] if isinstance(encoders, str) else list(encoders)
        for name in names:
            if not isinstance(name, str) or self._model_name(name) == self.pivot:
                raise RosettaError(
                    f"encoders: {name!r} is not the name of an encoder; use "
                    f"{', '.join(self.encoders)}"
                )
        if not names:
            raise RosettaError("encoders: there are none; give at least one")
        return list(dict.fromkeys(names))

    def _generator(self, tuned: "Model | None") -> "Model":
        return self.model(self.pivot) if tuned is None else tuned

    def _distance(self, given: "Distance | None", default: dict[str, Any]) -> "Distance":
        """Return a distance whose encoder is a model of the result, if it names one."""
        value: Any = default if given is None else given
        if isinstance(value, str):
            value = {"encoder": value}
        if isinstance(value, Mapping) and value.get("encoder") in self.models:
            return {**value, "encoder": self.model(value["encoder"])}
        return value

    def _with_class(self, options: Any, source: Any = None) -> Any:
        """Return options with the default class, unless they or an earlier result have one."""
        if self._default_class is None or hasattr(source, "settings"):
            return options
        return {"class_label": self._default_class, **options}
