"""Options of steering functions: names, types, and checks by the sections of a configuration.

An option that is left out takes the default of the configuration
(docs/reference/steering-jobs.md).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

import numpy as np

from rosetta_core.config.edits import EDIT_PARAMETERS, Edit
from rosetta_core.config.optimisation import Regulariser, Similarity
from rosetta_core.config.reading import parse_section
from rosetta_core.config.steering import ActivationMaximisation, Inversion, PivotalTuning
from rosetta_core.errors import RosettaError, did_you_mean

if TYPE_CHECKING:
    from rosetta_core.steering.optimise.stopping import StepCallback

__all__ = [
    "EditOptions",
    "InversionOptions",
    "OptimisationOptions",
    "ShowOptions",
    "StoppingOptions",
    "TuningOptions",
    "job_of",
    "settings_of_options",
    "takes_options",
]

Function = TypeVar("Function", bound=Callable[..., Any])
Job = TypeVar("Job", Inversion, ActivationMaximisation, Edit, PivotalTuning)


class StoppingOptions(TypedDict, total=False):
    """Callback and early stopping of every steering function; both are off by default.

    Attributes:
        callback: function of the step, the loss (n,) of the restarts and their latents (n, …); the
            optimisation ends if it returns True.
        every: number of steps between two calls; 1 by default.
        patience: number of steps without a lower loss after which the optimisation ends.
        tolerance: decrease of the loss that counts as lower; 0 by default.
    """

    callback: "StepCallback | None"
    every: int
    patience: int | None
    tolerance: float


class OptimisationOptions(StoppingOptions, total=False):
    """How latents are optimised.

    Attributes:
        steps: number of Adam steps.
        learning_rate: peak learning rate; None: the default of the generator's family.
        restarts: number of independent starting latents; the lowest final loss wins.
        seed: random seed of the starting latents.
        space: latent space: z; also w and w+ if the generator has them.
        class_label: class of the images, for class-conditional generators.
        regulariser: latent regulariser: l1, l2, or start (distance to the starting latent).
        regulariser_weight: its weight.
    """

    steps: int
    learning_rate: float | None
    restarts: int
    seed: int
    space: str
    class_label: int | None
    regulariser: Regulariser
    regulariser_weight: float


class InversionOptions(OptimisationOptions, total=False):
    """How images are inverted.

    Attributes:
        similarity: similarity of activation maps: image, dataset or distance.
        activation_weight: weight of the similarity.
        pixels: pixel loss: l1 or l2.
        pixel_weight: weight of the pixel loss.
        perceptual_weight: weight of the perceptual distance.
    """

    similarity: Similarity
    activation_weight: float
    pixels: Literal["l1", "l2"]
    pixel_weight: float
    perceptual_weight: float


class ShowOptions(OptimisationOptions, total=False):
    """How units are made more active.

    Attributes:
        target_std: target activity, in standard deviations above the mean over random images.
    """

    target_std: float


class EditOptions(OptimisationOptions, total=False):
    """How images are edited.

    Attributes:
        similarity: similarity to the edited maps: image, dataset or distance.
        dx: shift, copy_paste: shift to the right, as a share of the image side.
        dy: shift: downward shift, as a share of the image side.
        amount: add: increase in standard deviations.
        map_penalty: remove, add: weight that keeps the maps of all other Rosetta neurons.
        activity_penalty: remove, add: weight that keeps their mean activity.
    """

    similarity: Similarity | None
    dx: float
    dy: float
    amount: float
    map_penalty: float
    activity_penalty: float


class TuningOptions(StoppingOptions, total=False):
    """How a generator is tuned.

    Attributes:
        steps: number of Adam steps.
        learning_rate: learning rate of the generator's weights.
        pixel_weight: weight of the mean squared pixel difference.
        perceptual_weight: weight of the perceptual distance.
        space: latent space of the latent; tuning does not change it.
        class_label: class of the image, for class-conditional generators.
    """

    steps: int
    learning_rate: float
    pixel_weight: float
    perceptual_weight: float
    space: str
    class_label: int | None


# what a section requires, and a function takes as an argument of its own
REQUIRED: Mapping[type, Mapping[str, Any]] = {
    Inversion: {"image": {"seed": 0}},
    ActivationMaximisation: {"concept": 0},
    Edit: {"source_seed": 0},
    PivotalTuning: {"source_job": "inversion"},
}
STOPPING = StoppingOptions.__optional_keys__
OPTIONS: Mapping[type, frozenset[str]] = {
    Inversion: InversionOptions.__optional_keys__,
    ActivationMaximisation: ShowOptions.__optional_keys__,
    Edit: EditOptions.__optional_keys__,
    PivotalTuning: TuningOptions.__optional_keys__,
}
NOT_CONFIGURED: Mapping[type, set[str]] = {PivotalTuning: {"space", "class_label"}}
DEFAULTS = {  # of options that are not in the section
    "callback": None,
    "every": 1,
    "patience": None,
    "tolerance": 0.0,
    "space": "z",
    "class_label": None,
}


def takes_options(section: type[Job]) -> Callable[[Function], Function]:
    """Return a decorator that shows the options of a function, with their defaults, in its help.

    Args:
        section: section of the configuration that has the options.
    """
    fields: Mapping[str, Any] = section.model_fields
    names = [*(name for name in fields if name in OPTIONS[section]), *DEFAULTS]
    options: list[inspect.Parameter] = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=fields[name].default if name in fields else DEFAULTS[name],
        )
        for name in dict.fromkeys(names)
        if name in OPTIONS[section]
    ]

    def show(function: Function) -> Function:
        signature = inspect.signature(function)
        own: list[inspect.Parameter] = [
            part
            for part in signature.parameters.values()
            if part.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        vars(function)["__signature__"] = signature.replace(parameters=[*own, *options])
        return function

    return show


def job_of(section: type[Job], options: Mapping[str, Any], *, name: str, **given: Any) -> Job:
    """Return a job of a configuration with the options of a function.

    Args:
        section: kind of the job.
        options: options by name; those of stopping are ignored.
        name: name of the function, for errors and progress.
        **given: further keys of the section.

    Raises:
        RosettaError: an option is unknown, or its value is wrong.
    """
    if unknown := [key for key in options if key not in OPTIONS[section]]:
        known = sorted(OPTIONS[section])
        hint = did_you_mean(unknown[0], known) or f"; options are {', '.join(known)}"
        raise RosettaError(f"{name}: unknown option {unknown[0]!r}{hint}")
    if section is Edit:
        _check_parameters(given["kind"], options)
    ignored = STOPPING | NOT_CONFIGURED.get(section, set())
    values = {key: _plain(value) for key, value in options.items() if key not in ignored}
    content = {**REQUIRED[section], **given, **values, "name": name}
    return parse_section(section, content, source=name)


def _check_parameters(kind: Any, options: Mapping[str, Any]) -> None:
    """Refuse options that another kind of edit takes."""
    if not isinstance(kind, str) or kind not in EDIT_PARAMETERS:
        kinds = list(EDIT_PARAMETERS)
        hint = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        raise RosettaError(f"edit: {kind!r} is not a kind of edit; use {', '.join(kinds)}{hint}")
    own = EDIT_PARAMETERS[kind]
    others = {name for names in EDIT_PARAMETERS.values() for name in names} - set(own)
    if wrong := [key for key in options if key in others]:
        takes = [name for name in own if name in EditOptions.__optional_keys__]
        raise RosettaError(
            f"edit: {kind} takes no {wrong[0]}; "
            + (f"it takes {', '.join(takes)}" if takes else "leave it out")
        )


def _plain(value: Any) -> Any:
    """Return the Python number of a NumPy number, and any other value as it is."""
    return value.item() if isinstance(value, np.generic) else value


def settings_of_options(job: Any) -> dict[str, Any]:
    """Return the settings of a job, without what its section only requires."""
    content = job.model_dump(mode="json")
    return {key: value for key, value in content.items() if key in OPTIONS[type(job)]}
