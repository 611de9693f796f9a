"""Cross-run matches: concepts of two finished runs, matched through shared encoder units."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.record import read_provenance
from rosetta_core.zoo.weights.local import RandomWeights

if TYPE_CHECKING:
    import pandas as pd

    from rosetta_core.mining.matching.cross_run import CrossRunMatches
    from rosetta_core.pages.cross_run_page import Side
    from rosetta_core.runs.finished.shared_encoders import RunEncoders

__all__ = ["significant_rosetta", "translate_runs"]

TABLES = ("matches", "shared_units", "counts")
PAGE = "index.html"
WRITTEN = {PAGE, "style.css", "cross_run.css", "pictures", "tables"}


def translate_runs(
    one: Path, other: Path, *, to: Path | None = None
) -> tuple["CrossRunMatches", Path]:
    """Match the concepts of two finished runs; write tables and a page.

    Args:
        one: folder of the first run.
        other: folder of the second run.
        to: output folder, written atomically, whose earlier translation is replaced; None:
            translations/{one}--{other} next to the first run.

    Returns:
        The matches, and the path of the page.

    Raises:
        RosettaError: a folder is not a finished run, the runs share no encoder, or `to` contains
            other files than a translation.
    """
    from rosetta_core.io.atomic import atomic_path, check_replaceable, explain_read_only
    from rosetta_core.mining.matching.cross_run import match_concepts
    from rosetta_core.pages.cross_run_page import write_cross_run_page
    from rosetta_core.runs.finished.location import run_config
    from rosetta_core.runs.finished.shared_encoders import shared_encoders

    configs = [run_config(folder) for folder in (one, other)]
    output = to or (
        Path(configs[0].results) / "translations" / "--".join(config.run for config in configs)
    )
    folder = output.resolve()  # the target of a symbolic link
    check_replaceable(folder, WRITTEN.__eq__, what="translation", verb="translate")
    encoders = [_encoders(config) for config in configs]
    units = shared_encoders(*encoders)
    rosetta = [significant_rosetta(config) for config in configs]
    matches = match_concepts(*rosetta, units=units)
    first, second = (
        _side(run, table, folder) for run, table in zip(encoders, rosetta, strict=True)
    )
    cure = "choose another folder with --to"
    with explain_read_only(output, cure=cure), atomic_path(folder) as temporary:
        temporary.mkdir()
        tables = (matches.pairs, matches.shared_units, matches.counts)
        for name, table in zip(TABLES, tables, strict=True):
            write_table(table, temporary / "tables" / f"{name}.parquet")
        write_cross_run_page(temporary, matches, (first, second), encoders=list(units))
    return matches, output / PAGE


def significant_rosetta(config: Config) -> "pd.DataFrame":
    """Return the rows of the table of Rosetta neurons with a significant pair in every encoder.

    Without null models, all rows are returned.
    """
    from rosetta_core.mining.significance.null_tests import significant_neurons

    paths = RunPaths(config)
    rosetta = read_table(paths.rosetta)
    if not config.nulls:
        return rosetta
    pairs = read_table(paths.pair_significance)
    return significant_neurons(rosetta, pairs, encoders=len(config.encoders))


def _encoders(config: Config) -> "RunEncoders":
    """Read what identifies the encoders of a run."""
    from rosetta_core.runs.finished.shared_encoders import RunEncoders

    paths = RunPaths(config)
    return RunEncoders(
        config=config,
        provenance=read_provenance(paths.provenance),
        units={model.name: read_table(paths.units(model.name)) for model in config.models},
    )


def _side(encoders: "RunEncoders", rosetta: "pd.DataFrame", folder: Path) -> "Side":
    """Return what the page in `folder` shows of a run."""
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.stores import StoredConceptExamples
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.pages.cross_run_page import Side

    config, paths = encoders.config, RunPaths(encoders.config)
    samples = Samples(paths.sample_stores)
    dictionary = (paths.dictionary / PAGE).resolve()
    address = quote(Path(os.path.relpath(dictionary, folder)).as_posix())
    return Side(
        run=config.run,
        pivot=config.pivot.name,
        rosetta=rosetta,
        units=encoders.units,
        examples=StoredConceptExamples(paths.concept_examples, encoders.units),
        images=samples.images,
        duplicates=find_near_duplicates(samples.images, samples.count),
        dictionary=address if dictionary.exists() else None,
        random=isinstance(config.pivot.weights, RandomWeights),
        nulls=config.nulls,
    )
