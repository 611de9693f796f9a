"""The stage that writes the dictionary's pages and its default figures."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, once

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]

CONCEPT = 0.3  # seconds for the page and the figure of a concept
PAGE = 2e-4  # seconds for the page of a unit


def run(config: Config) -> Path:
    """Write the pages; return their folder."""
    from rosetta_core.io.atomic import atomic_path
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.stores import StoredConceptExamples, read_unit_examples
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.pages.dictionary.maximisation_data import read_maximisations
    from rosetta_core.pages.dictionary.site import write_site
    from rosetta_core.pages.figures import write_default_figures
    from rosetta_core.runs.finished.run_tables import read_run_tables

    paths, tables = RunPaths(config), read_run_tables(config)
    samples = Samples(paths.sample_stores)
    concept_examples = StoredConceptExamples(paths.concept_examples, tables.units)
    duplicates = find_near_duplicates(samples.images, samples.count)
    with atomic_path(paths.dictionary) as folder:
        folder.mkdir()
        write_site(
            folder,
            tables,
            unit_examples={
                name: read_unit_examples(paths.unit_examples(name)) for name in tables.names
            },
            concept_examples=concept_examples,
            images=samples.images,
            origins=samples.origins(),
            originals=_originals(config, paths.dictionary),
            duplicates=duplicates,
            examples=config.dictionary.examples,
            maximisations=read_maximisations(
                [finished_job(config, job.name) for job in config.steering.show]
            ),
        )
        (folder / "figures").mkdir()
        write_default_figures(
            folder / "figures",
            tables,
            concept_examples,
            samples.images,
            duplicates,
            names=samples.file_names(),
        )
    return paths.dictionary


def _originals(config: Config, dictionary: Path) -> Path | None:
    """Return the folder of images relative to the pages; None if it is missing."""
    folder = config.sampling.folder
    if folder is None or not Path(folder).is_dir():
        return None
    return Path(os.path.relpath(folder, dictionary))


def settings(config: Config) -> list[Any]:
    """Return what the pages show of the configuration."""
    content = config.model_dump(mode="json", include={"run", "neighbours", "sampling"})
    return [
        *content.values(),
        config.dictionary.examples,
        [job.name for job in config.steering.show],
        [model.weights and model.weights.licence for model in config.models],
    ]


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of pages and figures."""
    units = sum(run.units(description) for description in run.models.values())
    return run.cost(
        reads=run.concept_bytes + sum(run.example_bytes),
        memory=run.PROCESS + 2 * sum(run.example_bytes),
        seconds=run.START + run.CONCEPTS * CONCEPT + units * PAGE,
    )


STAGE = Stage(
    "dictionary",
    "write the pages of the dictionary",
    run,
    jobs=once,
    settings=settings,
    writes=lambda paths, job: [paths.dictionary],
    cost=cost,
    single_core=True,
    verified=False,
)
