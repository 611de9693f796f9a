"""Steering as functions on models, images, latents and tables of units.

They compute what the jobs of the workflow compute (paper, section 4), write nothing, and leave the
models as they are. Tables of units come from `Mined` or `Run`, whose methods of the same names fill
them in.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from rosetta_core.api.models import Model
from rosetta_core.api.steering.inputs import latents_of, mask_of, targets_of
from rosetta_core.api.steering.models import (
    Distance,
    distance_models,
    distance_of,
    encoders_of,
    generator_of,
    optimisation,
    stopping_of,
)
from rosetta_core.api.steering.options import (
    EditOptions,
    InversionOptions,
    ShowOptions,
    TuningOptions,
    job_of,
    settings_of_options,
    takes_options,
)
from rosetta_core.api.steering.results import SteeringResult, TuningResult
from rosetta_core.api.steering.tables import (
    PIVOT,
    UNITS,
    check_units,
    label_of,
    steered_generator,
    unit_numbers,
    views_of,
)
from rosetta_core.config.edits import EDIT_PARAMETERS, Edit, EditKind
from rosetta_core.config.steering import ActivationMaximisation, Inversion, PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.stages.steering.networks import settings_of
from rosetta_core.steering.jobs.activation_maximisation import maximise_activation
from rosetta_core.steering.jobs.editing import EDITS, EditSource
from rosetta_core.steering.jobs.editing import edit as edit_image
from rosetta_core.steering.jobs.inversion import invert as invert_image
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.jobs.pivotal_tuning import tune as tune_generator
from rosetta_core.steering.jobs.pivotal_tuning import tuned_generator
from rosetta_core.steering.jobs.transform_edits import EditFunction
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.optimise.settings import GuidedSettings, OptimisationSettings

__all__ = ["edit", "invert", "show", "tune"]


@takes_options(Inversion)
def invert(
    generator: Model | str,
    image: Any,
    pairs: pd.DataFrame,
    *,
    encoders: Sequence[Model | str] | Model | str,
    loss_distance: Distance | None = None,
    evaluation_distance: Distance | None = None,
    **options: Unpack[InversionOptions],
) -> SteeringResult:
    """Find latents whose activation maps match those of encoders on images (paper, section 4.1).

    Args:
        generator: the generator.
        image: one image or several: a path, a PIL image, an array (h, w, 3) of uint8 or of floats
            in 0..1, a tensor (3, h, w), or the keys of an image as in a configuration, for example
            {"file": "me.jpg", "box": [150, 40, 300]}. Images are cropped to their central square
            and resized.
        pairs: pairs of units that guide the inversion, see `Result.pairs`; rows may be left out.
        encoders: the encoders of the pairs.
        loss_distance: perceptual distance in the loss, if `perceptual_weight` is above 0: an
            encoder, or the keys of a distance as in a configuration; None: the first encoder.
        evaluation_distance: perceptual distance that measures the results; None: the last encoder.
        **options: steps, restarts, seed and others, see `InversionOptions`; callback and patience,
            see `StoppingOptions`. Several images are inverted one after another.

    Raises:
        RosettaError: an argument is wrong, or the loss is not finite.
    """
    job = job_of(Inversion, options, name="invert")
    stopping = stopping_of(options, name="invert")
    model = generator_of(generator, space=job.space, name="invert")
    used = encoders_of(encoders, model)
    units = check_units(pairs, PIVOT, model, key="pairs", model_column="pivot_model")
    steered = steered_generator(model, units)
    views = views_of(pairs, steered, used)
    first = used[0] if loss_distance is None else loss_distance
    last = used[-1] if evaluation_distance is None else evaluation_distance
    with optimisation([model, *used, *distance_models(first, last)]):
        loss = distance_of(
            first if job.perceptual_weight else None, model, key="loss_distance", models=used
        )
        evaluation = distance_of(last, model, key="evaluation_distance", models=used)
        targets = targets_of(image, steered, class_label=job.class_label)
        jobs = [
            invert_image(
                steered,
                pixels,
                views,
                loss_distance=loss,
                evaluation_distance=evaluation,
                settings=settings_of(GuidedSettings, job),
                stopping=stopping,
                name=_numbered("invert", number, len(targets)),
                title=title,
            )
            for number, (pixels, title) in enumerate(targets, start=1)
        ]
    return SteeringResult("inversion", jobs, settings_of_options(job))


@takes_options(ActivationMaximisation)
def show(
    generator: Model | str, units: pd.DataFrame, **options: Unpack[ShowOptions]
) -> SteeringResult:
    """Optimise random latents so that units become more active (activation maximisation).

    Args:
        generator: the generator.
        units: units that are maximised together, see `Result.neurons`.
        **options: steps, restarts, target_std and others, see `ShowOptions`; callback and patience,
            see `StoppingOptions`. Every restart gives an image.

    Raises:
        RosettaError: an argument is wrong, or the loss is not finite.
    """
    job = job_of(ActivationMaximisation, options, name="show")
    stopping = stopping_of(options, name="show")
    model = generator_of(generator, space=job.space, name="show")
    known = check_units(units, UNITS, model, key="units")
    steered = steered_generator(model, known)
    with optimisation([model]):
        result = maximise_activation(
            steered,
            pd.unique(unit_numbers(steered, known)),
            target_std=job.target_std,
            settings=settings_of(OptimisationSettings, job),
            stopping=stopping,
            name="show",
            label=label_of(units, known, model),
        )
    return SteeringResult("show", [result], settings_of_options(job))


@takes_options(Edit)
def edit(
    generator: Model | str,
    latents: Any,
    kind: EditKind,
    neurons: pd.DataFrame,
    *,
    units: pd.DataFrame | None = None,
    mask: Any = None,
    function: EditFunction | None = None,
    evaluation_distance: Distance | None = None,
    **options: Unpack[EditOptions],
) -> SteeringResult:
    """Change images through the activation maps of the Rosetta neurons (paper, section 4.2).

    Args:
        generator: the generator, or a tuned one.
        latents: images to edit: latents (n, …), seeds, or the result of another function.
        kind: zoom, shift, copy_paste, remove, add or custom.
        neurons: the Rosetta neurons, see `Result.neurons`. Zoom, shift, copy_paste and custom
            change their maps; remove and add keep them.
        units: remove, add: units that change.
        mask: remove, add: where units may change: a path, a PIL image, or an array (h, w) of bool,
            uint8 or floats in 0..1, of the size of the generator's images.
        function: custom: function of maps (u, h, w), the layer's name and the channels (u,) that
            returns edited maps.
        evaluation_distance: perceptual distance between the images before and after, as in
            `invert`; None: not measured.
        **options: dx, dy, amount, steps and others, see `EditOptions`; callback and patience, see
            `StoppingOptions`.

    Raises:
        RosettaError: an argument is wrong, the edit has no effect, or the loss is not finite.
    """
    options = _continued(latents, options, name="edit")
    job = _edit_job(kind, options, units=units, mask=mask, function=function)
    stopping = stopping_of(options, name="edit")
    model = generator_of(generator, space=job.space, name="edit")
    known = check_units(neurons, UNITS, model, key="neurons")
    used = known
    if units is not None:
        selected = check_units(units, UNITS, model, key="units")
        used = pd.concat([known, selected], ignore_index=True)
    steered = steered_generator(model, used, known)
    with optimisation([model, *distance_models(evaluation_distance)]):
        evaluation = distance_of(evaluation_distance, model, key="evaluation_distance")
        space, class_label = job.space, job.class_label
        sources = latents_of(latents, steered, space=space, class_label=class_label)
        parameters: dict[str, Any] = job.parameters
        if mask is not None:
            parameters["mask"] = mask_of(mask, steered, class_label=class_label)
        if units is not None:
            del parameters["concept"], parameters["units"]
            parameters["selected"] = np.unique(unit_numbers(steered, selected))
            parameters["label"] = label_of(units, selected, model)
            parameters["minimum"] = minimum_activations(
                steered, space=space, class_label=class_label, seed=job.seed
            )
        if function is not None:
            name = getattr(function, "__name__", type(function).__name__)
            parameters |= {"function": function, "name": name}
        change: MapEdit = EDITS[kind](**parameters)
        jobs = [
            edit_image(
                steered,
                EditSource(latent, title),
                change,
                evaluation_distance=evaluation,
                settings=settings_of(OptimisationSettings, job),
                similarity=job.similarity,
                stopping=stopping,
                name=_numbered("edit", number, len(sources)),
            )
            for number, (latent, title) in enumerate(sources, start=1)
        ]
    return SteeringResult("edit", jobs, {"kind": kind, **settings_of_options(job)})


@takes_options(PivotalTuning)
def tune(
    generator: Model | str,
    latents: Any,
    image: Any = None,
    *,
    loss_distance: Distance | None = None,
    evaluation_distance: Distance | None = None,
    **options: Unpack[TuningOptions],
) -> TuningResult:
    """Fine-tune a copy of a generator until a latent produces an image (pivotal tuning).

    Source: Roich et al., 2022.

    Args:
        generator: the generator, which does not change.
        latents: latent of the image (1, …), or the result of `invert` for one image.
        image: the image, as in `invert`; None: the image that was inverted.
        loss_distance: perceptual distance in the loss, as in `invert`; needed unless
            `perceptual_weight` is 0.
        evaluation_distance: perceptual distance that measures the result; None: not measured.
        **options: steps, learning_rate and others, see `TuningOptions`; callback and patience, see
            `StoppingOptions`.

    Raises:
        RosettaError: an argument is wrong, or the loss is not finite.
    """
    options = _continued(latents, options, name="tune")
    job = job_of(PivotalTuning, options, name="tune")
    stopping = stopping_of(options, name="tune")
    space, class_label = options.get("space", "z"), options.get("class_label")
    if image is None:
        image = latents.target if isinstance(latents, SteeringResult) else None
    if image is None:
        raise RosettaError("tune: there is no image to reproduce; give image")
    model = generator_of(generator, space=space, name="tune")
    steered = steered_generator(model)
    with optimisation([model, *distance_models(loss_distance, evaluation_distance)]):
        loss = distance_of(loss_distance, model, key="loss_distance")
        evaluation = distance_of(evaluation_distance, model, key="evaluation_distance")
        sources = latents_of(latents, steered, space=space, class_label=class_label)
        targets = targets_of(image, steered, class_label=class_label)
        if len(sources) != 1 or len(targets) != 1:
            raise RosettaError(
                f"tune: {len(sources)} latents and {len(targets)} images; give one of each"
            )
        tuned = tune_generator(
            steered,
            sources[0][0],
            targets[0][0],
            loss_distance=loss,
            evaluation_distance=evaluation,
            steps=job.steps,
            learning_rate=job.learning_rate,
            pixel_weight=job.pixel_weight,
            perceptual_weight=job.perceptual_weight,
            space=space,
            class_label=class_label,
            stopping=stopping,
            name="tune",
            title=sources[0][1],
        )
    settings = {**settings_of_options(job), "space": space, "class_label": class_label}
    network = tuned_generator(steered, tuned.weights).generator
    return TuningResult(tuned.result, settings, replace(model, network=network))


def _edit_job(
    kind: EditKind, options: EditOptions, *, units: Any, mask: Any, function: Any
) -> Edit:
    """Return the job of an edit; RosettaError for arguments that this kind does not take."""
    given = {"units": units, "mask": mask, "function": function}
    # the section holds names of units and files; here the values are passed on
    names = {"units": ["layer/0"], "mask": None, "function": "function.py:function"}
    takes: tuple[str, ...] = EDIT_PARAMETERS.get(kind, ()) if isinstance(kind, str) else ()
    job = job_of(
        Edit, options, name="edit", kind=kind, **{key: names[key] for key in given if key in takes}
    )
    for key, value in given.items():
        if value is not None and key not in takes:
            raise RosettaError(f"edit: {kind} takes no {key}; leave it out")
        if value is None and key in takes and key != "mask":
            raise RosettaError(f"edit: {kind} needs {key}; give {key}")
    if function is not None and not callable(function):
        raise RosettaError(f"edit: function: {type(function).__name__} is not a function")
    return job


def _continued(source: Any, options: Any, *, name: str) -> Any:
    """Return options with the latent space and the class of an earlier result.

    Raises:
        RosettaError: the options name another latent space.
    """
    if not isinstance(source, SteeringResult):
        return options
    space, class_label = (source.settings[key] for key in ("space", "class_label"))
    if options.get("space", space) != space:
        raise RosettaError(
            f"{name}: space: {options['space']!r} is not that of the latents, which is {space!r}; "
            "leave it out"
        )
    return {"class_label": class_label, **options, "space": space}


def _numbered(name: str, number: int, count: int) -> str:
    """Return the name of one of several optimisations."""
    return name if count == 1 else f"{name} {number} of {count}"
