"""Activation maximisation on the pages of concepts: images before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.heatmap import picture
from rosetta_core.errors import RosettaError
from rosetta_core.pages.data_files import rounded
from rosetta_core.steering.result_reader import (
    ACTIVITY_AFTER,
    ACTIVITY_BEFORE,
    read_arrays,
    read_description,
    read_metrics,
)

__all__ = ["Maximisation", "maximisation_data", "read_maximisations", "write_maximisation"]

SIDE = 160  # pixels of each of the two pictures of a pair


@dataclass(frozen=True)
class Maximisation:
    """Result of a job that made a concept, or a unit of it, more active.

    Attributes:
        concept: number of the concept.
        about: one line about the job.
        before: random images (n, h, w, 3), best first.
        after: the images after optimisation (n, h, w, 3).
        values: activation before and after (n, 2), in standard deviations over random images.
    """

    concept: int
    about: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    values: NDArray[np.float64]


def read_maximisations(folders: Sequence[Path]) -> list[Maximisation]:
    """Read the results of jobs; those of units outside the dictionary are left out.

    The images of a folder are in the order in which its metrics first name their restarts.

    Raises:
        RosettaError: a file is missing or does not fit the others.
    """
    results = [_read(folder) for folder in folders]
    return [result for result in results if result is not None]


def _read(folder: Path) -> Maximisation | None:
    try:
        job = read_description(folder)
        if job.concept is None:
            return None
        arrays = read_arrays(folder / "images.npz")
        before, after = arrays["before"], arrays["after"]
        rows = read_metrics(folder)
        by_metric = [
            rows[rows["metric"] == metric].set_index("restart")["value"]
            for metric in (ACTIVITY_BEFORE, ACTIVITY_AFTER)
        ]
        restarts = list(dict.fromkeys(rows["restart"]))
        values = np.array([[column[restart] for column in by_metric] for restart in restarts])
        if values.shape != (len(before), 2) or before.shape != after.shape:
            raise ValueError(f"{len(before)} and {len(after)} images of {len(restarts)} restarts")
    except RosettaError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RosettaError(
            f"{folder}: not a result of activation maximisation ({type(error).__name__}: {error}); "
            "run the job again"
        ) from error
    return Maximisation(job.concept, job.about, before, after, values)


def maximisation_data(results: Sequence[Maximisation], concept: int) -> list[dict[str, Any]]:
    """Return what the page of a concept shows of its maximisations.

    Args:
        results: results of the run; the position of each one names its pictures.
        concept: number of the concept.
    """
    return [
        {
            "number": number,
            "about": result.about,
            "values": [rounded(pair) for pair in result.values],
        }
        for number, result in enumerate(results)
        if result.concept == concept
    ]


def write_maximisation(folder: Path, number: int, result: Maximisation) -> None:
    """Write `pictures/maximisations/{number}/{i}.webp`: image i before and, beside it, after.

    Args:
        folder: folder of the pages.
        number: position of the result among those of the run.
        result: result with its images.
    """
    pictures = folder / "pictures" / "maximisations" / str(number)
    pictures.mkdir(parents=True, exist_ok=True)
    for i, pair in enumerate(zip(result.before, result.after, strict=True)):
        both = np.concatenate([picture(image, SIDE) for image in pair], axis=1)
        Image.fromarray(both).save(pictures / f"{i}.webp", quality=90, method=4)
