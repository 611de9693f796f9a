"""What makes a concept strongest: the results of jobs that show one, for its page.

Show          random images, and what they became
read_shows    those of some jobs that show concepts
show_data     what the page of a concept says of its shows
write_show    a show's pictures
"""

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
from rosetta_core.pages.packed import thousandths
from rosetta_core.steering.result_io.job_arrays import read_arrays

__all__ = ["Show", "read_shows", "show_data", "write_show"]

BEFORE, AFTER = "activity before", "activity after"  # how names of metrics begin
SIDE = 160  # of each of the two pictures of a pair


@dataclass(frozen=True)
class Show:
    """Random images, and what they became when a concept or a unit of it was made active.

    Attributes:
        concept: its number.
        about: a line of words.
        before: the random images (n, h, w, 3), the best first.
        after: what they became (n, h, w, 3).
        values: how active before and after (n, 2), in standard deviations of random images.
    """

    concept: int
    about: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    values: NDArray[np.float64]


def read_shows(folders: Sequence[Path]) -> list[Show]:
    """Read jobs that show something; units outside the dictionary have no page and are left out.

    The images of a folder are in the order in which its metrics first name their starts.

    Raises:
        RosettaError: something is missing, or doesn't fit.
    """
    found = [_read(folder) for folder in folders]
    return [show for show in found if show is not None]


def _read(folder: Path) -> Show | None:
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
            f"{folder}: doesn't hold a concept that was shown ({type(error).__name__}: {error}); "
            "run the job again"
        ) from error
    return Show(job["concept"], job["about"], before, after, values)


def show_data(shows: Sequence[Show], concept: int) -> list[dict[str, Any]]:
    """Return what the page of a concept says of its shows.

    Args:
        shows: of a run; the place of each among them names its pictures.
        concept: the number of the concept.
    """
    return [
        {
            "number": number,
            "about": show.about,
            "values": [thousandths(pair) for pair in show.values],
        }
        for number, show in enumerate(shows)
        if show.concept == concept
    ]


def write_show(folder: Path, number: int, show: Show) -> None:
    """Write `pictures/shows/{number}/{place}.webp`: an image and, beside it, what it became.

    Args:
        folder: of the pages.
        number: the place of the show among those of the run.
        show: with its images.
    """
    into = folder / "pictures" / "shows" / str(number)
    into.mkdir(parents=True, exist_ok=True)
    for place, pair in enumerate(zip(show.before, show.after, strict=True)):
        both = np.concatenate([picture(image, SIDE) for image in pair], axis=1)
        Image.fromarray(both).save(into / f"{place}.webp", quality=90, method=4)
