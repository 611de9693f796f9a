"""The stage that counts matches for subsets of images, K and encoders, and draws the curves."""

from collections.abc import Sequence
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import write_table
from rosetta_core.runs.match_sets import LARGEST_K, image_counts, read_match_set
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage

__all__ = ["KS", "STAGE", "run"]

KS = (1, 2, 3, 5, 7, 10, 15, 20)  # mutual nearest neighbours


def run(
    config: Config, *, images: Sequence[int] | None = None, k: Sequence[int] = KS
) -> list[Path]:
    """Write the table of a sweep and draw its curves; return their paths.

    Args:
        config: configuration of the run.
        images: numbers of images that `sweep` was run with.
        k: numbers of mutual nearest neighbours, from 1 to 20.

    Raises:
        RosettaError: a K is out of range.
    """
    from rosetta_core.drawing.canvas import save
    from rosetta_core.mining.significance.sweep import sweep_table
    from rosetta_core.pages.sweep_curves import sweep_figure

    for number in k:
        if not 1 <= number <= LARGEST_K:
            raise RosettaError(f"--k: {number} is not from 1 to {LARGEST_K}")
    paths = RunPaths(config)
    table = sweep_table(
        lambda subset, k: read_match_set(config, paths.sweep, k=k, subset=subset),
        images=image_counts(config, images),
        k=sorted(set(k)),
        encoders=[encoder.name for encoder in config.encoders],
    )
    figure = sweep_figure(table, k=config.neighbours.k)
    for path in paths.sweep_curves:
        save(figure, path)
    return [write_table(table, paths.sweep_table), *paths.sweep_curves]


STAGE = Stage(
    "sweep_curves",
    "count matches for subsets of images, K and encoders; draw the curves",
    run,
    jobs=lambda config: [{}],
    settings=lambda config: [
        [encoder.name for encoder in config.encoders],
        *(image_counts(config), config.neighbours.k),
    ],
    writes=lambda paths, job: [paths.sweep_table, *paths.sweep_curves],
    default=False,
    measured=False,
    verified=False,
)
