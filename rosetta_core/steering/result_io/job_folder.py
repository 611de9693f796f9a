"""The folder of a steering job: everything that it came to.

write_outcome    images, sheets, maps, curve, video, latents and metrics, into a folder
write_about      job.json: what the job is, for the pages and for other jobs
read_latent      the latent that a job found, for jobs that go on from it
read_images      the image that a job is of, and the one that it came to
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.config.steering import Job
from rosetta_core.drawing.canvas import TILE
from rosetta_core.drawing.contact_sheets import write_curve, write_sheet
from rosetta_core.drawing.heatmap import contrast, overlay
from rosetta_core.drawing.video import write_video
from rosetta_core.errors import RosettaError
from rosetta_core.io.file_index import write_file_index
from rosetta_core.steering.optimise.result import Outcome, Panel
from rosetta_core.steering.result_io.job_arrays import read_arrays

__all__ = ["read_images", "read_latent", "write_about", "write_outcome"]

MOST_ROWS = 8  # of a sheet


def write_outcome(folder: Path, job: Job, outcome: Outcome, *, concept: int | None = None) -> None:
    """Write what a job came to into a folder, which is there.

    Args:
        folder: where to; the caller sees to it that it appears whole.
        job: its settings.
        outcome: what it came to.
        concept: that it shows, or that the unit is in that it shows.
    """
    images: dict[str, NDArray[np.uint8]] = {"before": outcome.before, "after": outcome.after}
    if outcome.target is not None:
        images["target"] = outcome.target
    np.savez_compressed(folder / "images.npz", allow_pickle=False, **images)
    np.savez_compressed(
        folder / "latents.npz", latents=outcome.latents, best=np.array(outcome.best)
    )
    Image.fromarray(outcome.after[0]).save(folder / "result.png")
    if outcome.target is not None:
        Image.fromarray(outcome.target[0]).save(folder / "target.png")
    outcome.metrics.to_parquet(folder / "metrics.parquet", index=False)
    _write_pictures(folder, outcome)
    terms: dict[str, NDArray[np.float32]] = {"total": outcome.descended.total}
    terms |= {str(name): values for name, values in outcome.descended.terms.items()}
    write_curve(folder / "curve.png", terms, best=outcome.best[0], about=outcome.about)
    write_video(folder / "way.mp4", outcome.descended.frames[:, outcome.best[0]])
    write_about(folder, job, about=outcome.about, summary=outcome.summary, concept=concept)
    write_file_index(folder, final_path=Path(job.folder, job.name))


def write_about(
    folder: Path,
    job: Job,
    *,
    about: str,
    summary: Sequence[tuple[str, str]],
    **more: Any,
) -> None:
    """Write job.json: name, kind, about, settings, summary, and what else a kind of job has."""
    content = {
        "name": job.name,
        "kind": job.job_kind,
        "about": about,
        "settings": job.model_dump(mode="json"),
        "summary": [list(line) for line in summary],
        **more,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / "job.json").write_text(text + "\n", encoding="utf-8")


def read_latent(folder: Path) -> NDArray[np.float32]:
    """Return the latent (1, …) that a job found; RosettaError if its folder has none."""
    stored = read_arrays(folder / "latents.npz")
    return stored["latents"][stored["best"][:1]]


def read_images(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the target or, without one, the first image (h, w, 3), and its result.

    RosettaError if the job has not been run, or if it has several results for an image.
    """
    stored = read_arrays(folder / "images.npz")
    if stored["after"].ndim != 4:
        raise RosettaError(f"{folder}: holds images of several methods; see its sheet.png instead")
    return stored.get("target", stored["before"])[0], stored["after"][0]


def _write_pictures(folder: Path, outcome: Outcome) -> None:
    """The sheet of images, and that of maps."""
    kinds = [("before", outcome.before), ("after", outcome.after)]
    if outcome.target is not None:
        kinds = [("target", outcome.target), ("start", outcome.before), ("result", outcome.after)]
    shown = min(MOST_ROWS, len(outcome.after))
    if shown == 1:
        tiles = [[images[0] for _, images in kinds]]
        write_sheet(folder / "sheet.png", tiles, rows=[""], columns=[name for name, _ in kinds])
    else:
        tiles = [list(images[:shown]) for _, images in kinds]
        write_sheet(
            folder / "sheet.png", tiles, rows=[name for name, _ in kinds], columns=[""] * shown
        )
    if outcome.panels:
        rows = list(outcome.panels)[:MOST_ROWS]
        write_sheet(
            folder / "maps.png",
            [_overlays(outcome.panels[row]) for row in rows],
            rows=rows,
            columns=list(outcome.columns),
        )


def _overlays(panels: Sequence[Panel]) -> list[NDArray[np.uint8]]:
    """The maps of a unit over their images, all by the same scale."""
    full = contrast(np.concatenate([panel.map.ravel() for panel in panels]))
    return [overlay(panel.image, panel.map, full=full, size=TILE) for panel in panels]
