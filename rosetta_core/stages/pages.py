"""The stage that shows what was found.

dictionary     the pages, and figures for papers

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.examples import samples_of
from rosetta_core.stages.steering import finished

__all__ = ["dictionary"]


def dictionary(config: Config) -> Path:
    """Write the pages; return their folder."""
    from rosetta_core.io.atomic import atomic_path
    from rosetta_core.mining.examples.concept_store import StoredConceptExamples
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.unit_store import read_unit_examples
    from rosetta_core.pages.dictionary.maximisation_data import read_shows
    from rosetta_core.pages.dictionary.site import write_site
    from rosetta_core.pages.plots.figures import write_default_figures
    from rosetta_core.runs.run_tables import read_run_tables

    paths, findings, samples = RunPaths(config), read_run_tables(config), samples_of(config)
    concept_examples = StoredConceptExamples(paths.concept_examples, findings.units)
    duplicates = find_near_duplicates(samples.images, samples.count)
    with atomic_path(paths.dictionary) as folder:
        folder.mkdir()
        write_site(
            folder,
            findings,
            unit_examples={
                name: read_unit_examples(paths.unit_examples(name)) for name in findings.names
            },
            concept_examples=concept_examples,
            images=samples.images,
            origins=samples.origins(),
            duplicates=duplicates,
            examples=config.dictionary.examples,
            image_pages=min(config.dictionary.image_pages, samples.count),
            shows=read_shows([finished(config, job.name) for job in config.steering.show]),
        )
        (folder / "figures").mkdir()
        write_default_figures(
            folder / "figures", findings, concept_examples, samples.images, duplicates
        )
    return paths.dictionary
