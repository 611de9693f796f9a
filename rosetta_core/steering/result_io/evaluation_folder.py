"""The folder of an evaluation: the images that every method found, and the table.

write_evaluation    into a folder
"""

from pathlib import Path

import numpy as np
from PIL import Image

from rosetta_core.config.steering import Evaluation
from rosetta_core.drawing.contact_sheets import write_sheet
from rosetta_core.io.file_index import write_file_index
from rosetta_core.steering.jobs.evaluation import Evaluated
from rosetta_core.steering.metrics.evaluation_table import markdown
from rosetta_core.steering.result_io.job_folder import write_about

__all__ = ["write_evaluation"]

MOST_IMAGES = 12  # of the sheet


def write_evaluation(folder: Path, job: Evaluation, evaluated: Evaluated) -> None:
    """Write what an evaluation came to into a folder, which is there.

    Args:
        folder: where to; the caller sees to it that it appears whole.
        job: its settings.
        evaluated: what it came to.
    """
    count = len(evaluated.target)
    about = f"{count} images inverted, each by {len(evaluated.methods)} methods"
    np.savez_compressed(
        folder / "images.npz",
        before=evaluated.before,
        after=evaluated.after,
        target=evaluated.target,
    )
    np.savez_compressed(folder / "latents.npz", latents=evaluated.latents)
    Image.fromarray(evaluated.after[0, -1]).save(folder / "result.png")
    evaluated.metrics.to_parquet(folder / "metrics.parquet", index=False)
    evaluated.table.to_parquet(folder / "table.parquet", index=False)
    note = f"{about}, in {job.steps} steps; means, and their 95% bootstrap intervals."
    (folder / "table.md").write_text(markdown(evaluated.table, note=note), encoding="utf-8")
    names = evaluated.metrics["item"].unique().tolist()[:MOST_IMAGES]
    write_sheet(
        folder / "sheet.png",
        [[evaluated.target[row], *evaluated.after[row]] for row in range(min(count, MOST_IMAGES))],
        rows=names,
        columns=["target", *evaluated.methods],
    )
    write_about(folder, job, about=about, summary=[], methods=evaluated.methods)
    write_file_index(folder, final_path=Path(job.folder, job.name))
