"""Results of steering functions: images, latents, losses, measures and maps, in memory."""

import base64
import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.api.models import Model
from rosetta_core.drawing.contact_sheets import curve
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.steering.optimise.result import JobResult
from rosetta_core.steering.result_figures import image_sheet, map_sheet

__all__ = ["SteeringResult", "TuningResult"]


class SteeringResult:
    """The result of `invert`, `show` or `edit`: n images, and how they were found.

    An inversion or an edit has one image per image given: that of the restart with the lowest final
    loss. Activation maximisation has one image per restart, the most active first.

    Attributes:
        kind: kind of the optimisation: inversion, show, edit or tuning.
        settings: all settings of the optimisation, by key of the configuration.
    """

    def __init__(self, kind: str, jobs: Sequence[JobResult], settings: Mapping[str, Any]) -> None:
        """Combine the results of one optimisation per image."""
        self.kind, self.settings = kind, dict(settings)
        self._jobs = list(jobs)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return (
            f"<{type(self).__name__} {self.kind}: {len(self)} "
            f"image{'s' if len(self) > 1 else ''} of {height} × {width} pixels, {self._progress}; "
            f"{self.about[0]}{' …' if len(self.about) > 1 else ''}>"
        )

    @property
    def _progress(self) -> str:
        """The number of steps taken."""
        taken = [len(job.optimisation.total) - 1 for job in self._jobs]
        steps = self.settings["steps"]
        few, many = min(taken), max(taken)
        text = f"{few}" if few == many else f"{few} to {many}"
        return f"{text} steps" if few == steps else f"{text} of {steps} steps"

    @property
    def about(self) -> list[str]:
        """Each optimisation in one line."""
        return [job.about for job in self._jobs]

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """Resulting images (n, h, w, 3)."""
        return np.concatenate([job.after for job in self._jobs])

    @cached_property
    def before(self) -> NDArray[np.uint8]:
        """Images before: of the starting latents, or the images that were edited (n, h, w, 3)."""
        return np.concatenate([job.before for job in self._jobs])

    @cached_property
    def target(self) -> NDArray[np.uint8] | None:
        """Images to reproduce, at the size of the generator's images (n, h, w, 3), if any."""
        targets = [job.target for job in self._jobs if job.target is not None]
        return np.concatenate(targets) if targets else None

    @cached_property
    def latents(self) -> NDArray[np.float32]:
        """Latents of the images (n, …), in the latent space of the settings."""
        return np.concatenate([job.latents[list(job.best)] for job in self._jobs])

    @cached_property
    def losses(self) -> pd.DataFrame:
        """Loss and its unweighted terms, one row per image, restart and step; step 0 is the start.

        Columns: item (number of the image), restart, step, total, and the terms that have a weight.
        """
        parts = []
        for first, job in zip(self._first_items, self._jobs, strict=True):
            steps, rows = job.optimisation.total.shape
            items = [_item(job, row, first) for row in range(rows)]
            columns = {name: values.T.ravel() for name, values in job.losses.items()}
            part = {
                "item": np.repeat(items, steps),
                "restart": np.repeat(np.arange(rows), steps),
                "step": np.tile(np.arange(steps), rows),
                **columns,
            }
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def restart_measures(self) -> pd.DataFrame:
        """Measures of all restarts, one row each: item, restart, best, metric, value."""
        parts = []
        for first, job in zip(self._first_items, self._jobs, strict=True):
            table = job.table
            items = [_item(job, row, first) for row in table["restart"]]
            parts.append(table.assign(item=np.array(items, np.int64)))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """Measures of the images, one row per image and one column per metric."""
        rows = self.restart_measures
        if len(self._jobs) == len(self):  # else every restart is an image
            rows = rows[rows["best"]]
        table = rows.pivot(index="item", columns="metric", values="value")
        return table[list(dict.fromkeys(rows["metric"]))].rename_axis(columns=None)

    @cached_property
    def maps(self) -> list[dict[str, dict[str, NDArray[np.float32]]]]:
        """Standardised maps (h, w) of a few units: by optimisation, unit, and column of the figure.

        An inversion has the encoder's map of the target and the map of the result, an edit the maps
        before, as edited and after, and activation maximisation those before and after.
        """
        return [
            {
                label: {
                    column: panel.map for column, panel in zip(job.columns, panels, strict=True)
                }
                for label, panels in job.panels.items()
            }
            for job in self._jobs
        ]

    @cached_property
    def trajectories(self) -> list[NDArray[np.uint8]]:
        """Images of up to 72 steps of each image (t, h, w, 3), from the start to the result."""
        return [job.optimisation.frames[:, row] for job in self._jobs for row in job.best]

    def plot(self) -> Figure:
        """Draw the images before and after, and their targets; at most eight."""
        kinds = [job.image_kinds for job in self._jobs]
        return image_sheet({kind: np.concatenate([x[kind] for x in kinds]) for kind in kinds[0]})

    def plot_maps(self, item: int = 0) -> Figure:
        """Draw the maps of a few units over an image, one row per unit.

        Args:
            item: number of the image.

        Raises:
            RosettaError: there is no such image, or a tuning has no maps.
        """
        job = self._job(item)
        if not job.panels:
            raise RosettaError(f"{self.kind}: has no maps; draw the images with plot()")
        return map_sheet(job)

    def plot_losses(self, item: int = 0) -> Figure:
        """Draw the loss and its terms against the step, for all restarts of an image.

        Args:
            item: number of the image.

        Raises:
            RosettaError: there is no such image.
        """
        job = self._job(item)
        return curve(job.losses, best=job.best[0], about=job.about)

    def save_images(self, folder: str | Path) -> list[Path]:
        """Write the images as PNG files 0.png, 1.png, …; return their paths.

        Args:
            folder: folder of the files, which is made if it is missing; other files stay.

        Raises:
            RosettaError: the path is a file.
        """
        if not isinstance(folder, str | Path):
            raise RosettaError(f"folder: {type(folder).__name__} is not a path; give a folder")
        into = Path(folder)
        if into.exists() and not into.is_dir():
            raise RosettaError(f"{into}: is a file; give a folder")
        into.mkdir(parents=True, exist_ok=True)
        paths = [into / f"{number}.png" for number in range(len(self))]
        for path, image in zip(paths, self.images, strict=True):
            with atomic_path(path) as temporary:
                Image.fromarray(image).save(temporary, format="png")
        return paths

    def _repr_html_(self) -> str:
        """Return the images and their measures, for notebooks."""
        with BytesIO() as file:
            self.plot().savefig(file, format="png")
            picture = base64.b64encode(file.getvalue()).decode()
        table = self.measures.to_html(float_format="{:.3g}".format)
        return (
            f"<p>{html.escape(repr(self)[1:-1])}</p>"
            f'<img src="data:image/png;base64,{picture}" alt="{html.escape(self.kind)}">{table}'
        )

    @property
    def _first_items(self) -> list[int]:
        """The number of the first image of each optimisation."""
        return np.cumsum([0, *(len(job.after) for job in self._jobs[:-1])]).tolist()

    def _job(self, item: int) -> JobResult:
        """Return the optimisation of an image; RosettaError if there is no such image."""
        jobs = [job for job in self._jobs for _ in job.after]
        if isinstance(item, bool) or not isinstance(item, int | np.integer):
            raise RosettaError(f"item: {item!r} is not the number of an image")
        if not 0 <= item < len(jobs):
            raise RosettaError(f"{self.kind}: there is no image {item}; use 0 to {len(jobs) - 1}")
        return jobs[item]


class TuningResult(SteeringResult):
    """The result of `tune`.

    Attributes:
        generator: copy of the generator with the tuned weights; the original is unchanged.
    """

    def __init__(self, job: JobResult, settings: Mapping[str, Any], generator: Model) -> None:
        """Add the generator to the result of its optimisation."""
        super().__init__("tuning", [job], settings)
        self.generator = generator


def _item(job: JobResult, row: int, first: int) -> int:
    """Return the number of the image of a row of latents: one of all rows, or one per row."""
    best = list(job.best)
    return first + (best.index(row) if len(best) > 1 else 0)
