"""Cross-run matches: concepts of two finished runs, matched through shared encoder units."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.samples import open_samples
from rosetta_core.zoo.weights.sources import RandomWeights

if TYPE_CHECKING:
    import pandas as pd

    from rosetta_core.mining.matching.cross_run import CrossRunMatches
    from rosetta_core.pages.cross_run_page import Side
    from rosetta_core.runs.shared_encoders import RunEncoders

__all__ = ["significant_rosetta", "translate_runs"]

TABLES = ("matches", "shared_units", "counts")
PAGE = "index.html"
WRITTEN = {PAGE, "style.css", "cross_run.css", "pictures", "tables"}


def translate_runs(
    one: Path, other: Path, *, to: Path | None = None
) -> tuple["CrossRunMatches", Path]:
    """Join the concepts of the finished runs in two folders; return the translation and its page.

    Args:
        one: the first run's folder.
        other: the second's.
        to: where the tables and the page are written, whole or not at all; unless given,
            translations/{one}--{other} beside the first run. An earlier translation is replaced.

    Raises:
        RosettaError: a folder is no finished run, the runs don't share an encoder, or `to` holds
            anything but a translation.
    """
    from rosetta_core.io.atomic import atomic_path, keep_others
    from rosetta_core.mining.matching.cross_run import match_concepts
    from rosetta_core.pages.cross_run_page import write_cross_run_page
    from rosetta_core.runs.run import run_config
    from rosetta_core.runs.shared_encoders import shared_encoders

    configs = [run_config(folder) for folder in (one, other)]
    names = "--".join(config.run for config in configs)
    beside = Path(configs[0].results) / "translations" / names
    folder = (to or beside).resolve()  # of a link what it points at
    keep_others(folder, WRITTEN.__eq__, what="translation", verb="translate")
    encoders = [_encoders(config) for config in configs]
    units = shared_encoders(*encoders)
    rosetta = [significant_rosetta(config) for config in configs]
    found = match_concepts(*rosetta, units=units)
    sides = tuple(_side(side, its, folder) for side, its in zip(encoders, rosetta, strict=True))
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, table in zip(
            TABLES, (found.pairs, found.shared_units, found.counts), strict=True
        ):
            write_table(table, temporary / "tables" / f"{name}.parquet")
        write_cross_run_page(temporary, found, (sides[0], sides[1]), encoders=list(units))
    return found, (to or beside) / PAGE


def significant_rosetta(config: Config) -> "pd.DataFrame":
    """Read the rows of the table of Rosetta neurons that are significant under all null models.

    All rows, if the run has no null models.
    """
    from rosetta_core.mining.significance.null_tests import significant_neurons

    paths = RunPaths(config)
    rosetta = read_table(paths.rosetta)
    if not config.nulls:
        return rosetta
    pairs = read_table(paths.pair_significance)
    return significant_neurons(rosetta, pairs, encoders=len(config.encoders))


def _encoders(config: Config) -> "RunEncoders":
    from rosetta_core.runs.shared_encoders import RunEncoders

    paths = RunPaths(config)
    return RunEncoders(
        config=config,
        provenance=_provenance(paths.provenance),
        units={model.name: read_table(paths.units(model.name)) for model in config.models},
    )


def _provenance(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: can't be read; delete it and run again") from error


def _side(encoders: "RunEncoders", rosetta: "pd.DataFrame", folder: Path) -> "Side":
    """A run, of which some pairs are joined, as the page in a folder shows it."""
    from rosetta_core.mining.examples.concept_store import StoredConceptExamples
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.pages.cross_run_page import Side

    config, paths = encoders.config, RunPaths(encoders.config)
    samples = open_samples(config)
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
