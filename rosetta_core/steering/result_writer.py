"""Writer of the folders of steering jobs: description, arrays, metrics and pictures.

Every file has the same bytes each time that a job runs. The folder is signed last, with the
checksums of its files. `result_reader` documents the contents.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from rosetta_core.drawing.canvas import save
from rosetta_core.drawing.contact_sheets import write_curve, write_sheet
from rosetta_core.drawing.video import write_video
from rosetta_core.io.file_index import write_file_index
from rosetta_core.steering.metrics.evaluation_table import to_markdown
from rosetta_core.steering.result_figures import image_sheet, map_sheet
from rosetta_core.steering.result_reader import (
    CONTACT_SHEET,
    DESCRIPTION,
    IMAGES,
    KINDS,
    LATENTS,
    LOSS_CURVE,
    MAPS,
    METRICS,
    RESULT,
    TABLE,
    TABLE_MARKDOWN,
    TARGET,
    TRAJECTORY,
    TUNED_WEIGHTS,
    JobDescription,
)

if TYPE_CHECKING:
    from rosetta_core.steering.jobs.evaluation import EvaluationResult
    from rosetta_core.steering.jobs.pivotal_tuning import TuningResult
    from rosetta_core.steering.optimise.result import JobResult

__all__ = ["write_evaluation", "write_result", "write_tuning"]

MOST_IMAGES = 12  # rows of the contact sheet of an evaluation


def write_result(
    folder: Path,
    result: "JobResult",
    *,
    name: str,
    kind: str,
    settings: dict[str, Any],
    concept: int | None = None,
) -> None:
    """Write the result of a job into an existing folder.

    Args:
        folder: the folder; the caller makes it appear atomically.
        result: the result.
        name: name of the job.
        kind: kind of the job, one of `KINDS`.
        settings: all settings of the job, by key of the configuration.
        concept: concept that is shown, for activation maximisation.
    """
    images: dict[str, NDArray[np.uint8]] = {"before": result.before, "after": result.after}
    if result.target is not None:
        images["target"] = result.target
        Image.fromarray(result.target[0]).save(folder / TARGET)
    np.savez_compressed(folder / IMAGES, allow_pickle=False, **images)
    np.savez_compressed(folder / LATENTS, latents=result.latents, best=np.array(result.best))
    Image.fromarray(result.after[0]).save(folder / RESULT)
    result.table.to_parquet(folder / METRICS, index=False)
    save(image_sheet(result.image_kinds), folder / CONTACT_SHEET)
    if result.panels:
        save(map_sheet(result), folder / MAPS)
    write_curve(folder / LOSS_CURVE, result.losses, best=result.best[0], about=result.about)
    write_video(folder / TRAJECTORY, result.optimisation.frames[:, result.best[0]])
    _finish(
        folder,
        JobDescription(name, kind, result.about, settings, list(result.summary), concept),
    )


def write_tuning(
    folder: Path, tuning: "TuningResult", *, name: str, settings: dict[str, Any]
) -> None:
    """Write the weights and the result of a tuning into an existing folder.

    Args:
        folder: the folder; the caller makes it appear atomically.
        tuning: the weights and the result.
        name: name of the job.
        settings: all settings of the job, by key of the configuration.
    """
    save_file(tuning.weights, folder / TUNED_WEIGHTS)
    write_result(folder, tuning.result, name=name, kind="tuning", settings=settings)


def write_evaluation(
    folder: Path, evaluation: "EvaluationResult", *, name: str, settings: dict[str, Any]
) -> None:
    """Write the result of an evaluation into an existing folder.

    Args:
        folder: the folder; the caller makes it appear atomically.
        evaluation: the result.
        name: name of the job.
        settings: all settings of the job, by key of the configuration.
    """
    count, methods = len(evaluation.target), evaluation.methods
    about = f"{count} images inverted, each by {len(methods)} methods"
    np.savez_compressed(
        folder / IMAGES,
        before=evaluation.before,
        after=evaluation.after,
        target=evaluation.target,
    )
    np.savez_compressed(folder / LATENTS, latents=evaluation.latents)
    Image.fromarray(evaluation.after[0, -1]).save(folder / RESULT)
    evaluation.metrics.to_parquet(folder / METRICS, index=False)
    evaluation.table.to_parquet(folder / TABLE, index=False)
    note = f"{about}, in {settings['steps']} steps; means with 95% bootstrap confidence intervals."
    text = to_markdown(evaluation.table, note=note)
    (folder / TABLE_MARKDOWN).write_text(text, encoding="utf-8")
    shown = min(count, MOST_IMAGES)
    write_sheet(
        folder / CONTACT_SHEET,
        [[evaluation.target[row], *evaluation.after[row]] for row in range(shown)],
        rows=evaluation.metrics["item"].unique().tolist()[:shown],
        columns=["target", *methods],
    )
    _finish(
        folder,
        JobDescription(name, "evaluation", about, settings, summary=[], methods=tuple(methods)),
    )


def _finish(folder: Path, description: JobDescription) -> None:
    """Write the description, then the checksums of all files."""
    text = json.dumps(asdict(description), indent=1, ensure_ascii=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    write_file_index(folder, final_path=Path(KINDS[description.kind], description.name))
