"""Registry of null models: activations without the agreement of pivot and encoder.

A null model destroys what a pivot and an encoder share, and keeps the values of every unit on its
own map. Each makes two independent draws. The first is mined for null best buddies. The second
gives null correlations, for the run's pairs and for the null best buddies alike, so both sets of
pairs were selected on other data than their null correlation (see `null_tests`).

To add a null model, write its function of two draws, add its record to `NULL_MODELS`, and its name
to `NullModelName` in `config/significance.py`. Modules are imported when draws are made, so that
names and requirements are read without PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError, did_you_mean

if TYPE_CHECKING:
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["NULL_MODELS", "Draw", "NullModel", "NullSources", "null_model"]

Draw = tuple["ActivationSource", "ActivationSource"]  # of the pivot and of an encoder


@dataclass(frozen=True)
class NullSources:
    """Activations from which a null model makes its draws.

    Attributes:
        pivot: activations of the pivot.
        encoder: opens the stored activations of the encoder.
        untrained: opens the activations of the encoder with random weights of a seed.
        seed: random seed, different for each encoder: no two encoders are compared with the same
            wrong images, and no result depends on which other encoders a run has.
    """

    pivot: "ActivationSource"
    encoder: Callable[[], "ActivationSource"]
    untrained: Callable[[int], "ActivationSource"]
    seed: int


@dataclass(frozen=True)
class NullModel:
    """A null model.

    Attributes:
        name: name in the configuration, `significance.nulls`.
        description: what is done, in a few words.
        remaining: what a correlation under this null model measures.
        draws: makes two independent draws.
        runs_encoder: True if draws run the encoder with random weights, whose units do not
            correspond to the trained ones; False if draws permute stored activations.
        min_images: smallest number of images.
    """

    name: str
    description: str
    remaining: str
    draws: Callable[[NullSources], tuple[Draw, Draw]]
    runs_encoder: bool = False
    min_images: int = 1


def _permute_images(sources: NullSources) -> tuple[Draw, Draw]:
    from rosetta_core.mining.sources.permuted import PermutedImages, draw_shifts

    encoder = sources.encoder()
    first, second = draw_shifts(sources.pivot.images, seed=sources.seed)
    return (
        (PermutedImages(sources.pivot, shift=first), encoder),
        (PermutedImages(sources.pivot, shift=second), encoder),
    )


def _roll_positions(sources: NullSources) -> tuple[Draw, Draw]:
    from rosetta_core.mining.sources.permuted import RolledPositions

    encoder = sources.encoder()
    return (
        (RolledPositions(sources.pivot, seed=sources.seed), encoder),
        (RolledPositions(sources.pivot, seed=sources.seed + 1), encoder),
    )


def _untrained(sources: NullSources) -> tuple[Draw, Draw]:
    return (
        (sources.pivot, sources.untrained(sources.seed)),
        (sources.pivot, sources.untrained(sources.seed + 1)),
    )


NULL_MODELS = {
    model.name: model
    for model in (
        NullModel(
            "permute_images",
            "the encoder's maps are of other images than the pivot's",
            "fixed positions, for example borders and the centre, which all images share",
            _permute_images,
            min_images=3,
        ),
        NullModel(
            "roll_positions",
            "the pivot's maps are shifted cyclically, by other offsets in each image",
            "how strongly units respond to an image, regardless of the position",
            _roll_positions,
        ),
        NullModel(
            "untrained",
            "the encoder has random weights",
            "structure that any network of this architecture passes on, for example colours",
            _untrained,
            runs_encoder=True,
        ),
    )
}


def null_model(name: str) -> NullModel:
    """Return the null model of a name; RosettaError if there is none."""
    if name not in NULL_MODELS:
        raise RosettaError(
            f"significance.nulls: {name!r} is not a null model; use {', '.join(NULL_MODELS)}"
            f"{did_you_mean(name, NULL_MODELS)}"
        )
    return NULL_MODELS[name]
