"""Activation maximisation on the pages of concepts: random images and what they became."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.heatmap import picture
from rosetta_core.errors import RosettaError
from rosetta_core.pages.data_files import rounded
from rosetta_core.steering.result_io.job_arrays import read_arrays

__all__ = ["Maximisation", "maximisation_data", "read_maximisations", "write_maximisation"]

BEFORE, AFTER = "activity before", "activity after"  # prefixes of the names of metrics
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

    The images of a folder are in the order in which its metrics first name their starts.

    Raises:
        RosettaError: a file is missing or does not fit the others.
    """
    results = [_read(folder) for folder in folders]
    return [result for result in results if result is not None]


def _read(folder: Path) -> Maximisation | None:
    try:
        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if job.get("concept") is None:
            return None
        arrays = read_arrays(folder / "images.npz")
        before, after = arrays["before"], arrays["after"]
        rows = pd.read_parquet(folder / "metrics.parquet")
        by_start = {
            metric: rows[rows["metric"].str.startswith(metric)].set_index("start")["value"]
            for metric in (BEFORE, AFTER)
        }
        starts = list(dict.fromkeys(rows["start"]))
        values = np.array([[by_start[metric][start] for metric in by_start] for start in starts])
        if values.shape != (len(before), 2) or before.shape != after.shape:
            raise ValueError(f"{len(before)} and {len(after)} images of {len(starts)} starts")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RosettaError(
            f"{folder}: not a result of activation maximisation ({type(error).__name__}: {error}); "
            "run the job again"
        ) from error
    return Maximisation(job["concept"], job["about"], before, after, values)


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
