"""Writer of the dictionary: static pages for a browser, from disk or a server.

The scripts and the style of the pages are in `static/`; they draw what is in `data/` and
`pictures/`, and load only the files of the page that is open.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rosetta_core.drawing.pictures import write_card, write_images
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.stores import ConceptExamples, LayerExamples
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.pages.data_files import write_data
from rosetta_core.pages.dictionary.concept_data import (
    choose_examples,
    concept_data,
    pair_columns,
    pair_table,
)
from rosetta_core.pages.dictionary.image_data import file_data, image_pages
from rosetta_core.pages.dictionary.index_data import (
    concept_table,
    index_data,
    null_concepts,
    search_data,
)
from rosetta_core.pages.dictionary.lookup import NeighbourLookup, histograms, unit_concepts
from rosetta_core.pages.dictionary.maximisation_data import Maximisation, write_maximisation
from rosetta_core.pages.dictionary.model_data import model_data
from rosetta_core.pages.dictionary.unit_data import UNITS_PER_FILE, unit_data, unit_files
from rosetta_core.pages.dictionary.verdict import Verdict, verdict
from rosetta_core.pages.templates import copy_style
from rosetta_core.runtime.progress import Progress

__all__ = ["write_site"]

STATIC = Path(__file__).parent / "static"
Images = Callable[[range], NDArray[np.uint8]]  # consecutive images (n, h, w, 3)


def write_site(
    folder: Path,
    tables: RunTables,
    *,
    unit_examples: Mapping[str, Sequence[LayerExamples]],
    concept_examples: ConceptExamples,
    images: Images,
    duplicates: NDArray[np.int32],
    examples: int,
    origins: Sequence[str] = (),
    originals: Path | None = None,
    maximisations: Sequence[Maximisation] = (),
) -> None:
    """Write the pages of a run into an existing folder.

    Args:
        folder: folder of the pages; the caller makes the write atomic.
        tables: tables of the run.
        unit_examples: by model and layer the examples of its units.
        concept_examples: scores and maps of the concepts on all images.
        images: returns consecutive images (n, h, w, 3).
        duplicates: by image the number of its group of near-duplicates (n,).
        examples: images per concept and group of examples.
        origins: by image the file it was read from, or "class 3"; empty if unknown.
        originals: folder of these files relative to the pages, for links; None: no links.
        maximisations: results of activation maximisation.
    """
    shutil.copytree(STATIC, folder, dirs_exist_ok=True)
    copy_style(folder)
    bars = {model: histograms(layers) for model, layers in unit_examples.items()}
    lookups = {model: NeighbourLookup(tables, model) for model in tables.names}
    write_data(folder, "index", index_data(tables, concept_examples))
    write_data(folder, "search", search_data(tables))
    write_data(folder, "models", model_data(tables))
    if tables.folder is not None:
        write_data(folder, "files", file_data(origins, tables.folder, originals=originals))
    write_images(folder, images, range(tables.images))
    for number, result in enumerate(maximisations):
        write_maximisation(folder, number, result)
    _write_concepts(
        folder,
        tables,
        concept_examples,
        images=images,
        duplicates=duplicates,
        count=examples,
        pivot_lookup=lookups[tables.pivot],
        bars=bars,
        maximisations=maximisations,
    )
    for image, content in image_pages(concept_examples, pivot=tables.pivot, origins=origins):
        write_data(folder, f"images/{image}", content)
    _write_units(folder, tables, unit_examples, lookups=lookups, bars=bars)


def _write_concepts(
    folder: Path,
    tables: RunTables,
    examples: ConceptExamples,
    *,
    images: Images,
    duplicates: NDArray[np.int32],
    count: int,
    pivot_lookup: NeighbourLookup,
    bars: Mapping[str, NDArray[np.uint8]],
    maximisations: Sequence[Maximisation],
) -> None:
    concept_of = unit_concepts(tables, tables.pivot)
    verdicts, columns = _verdicts(tables), pair_columns(tables)
    moments = {name: units[["mean", "std"]].to_numpy() for name, units in tables.units.items()}
    with Progress("pages", total=len(verdicts), unit="concepts") as progress:
        for concept, members in pair_table(tables).groupby("concept"):
            chosen = choose_examples(concept, examples, duplicates=duplicates, count=count)
            content = concept_data(
                concept,
                members,
                chosen,
                tables=tables,
                columns=columns,
                verdict=verdicts[concept],
                examples=examples,
                pivot_lookup=pivot_lookup,
                moments=moments,
                histograms=bars,
                concept_of=concept_of,
                maximisations=maximisations,
            )
            write_data(folder, f"concepts/{concept}", content)
            best = chosen.top[0]
            activation = dequantise(examples.maps(concept, tables.pivot)[best])  # (h, w)
            card = folder / "pictures" / "concepts" / f"{concept}.webp"
            write_card(card, images(range(best, best + 1))[0], activation)
            progress.advance()


def _verdicts(tables: RunTables) -> dict[int, Verdict]:
    """By concept its verdict."""
    counts = null_concepts(tables)
    table = concept_table(tables).set_index("concept")
    keys = ["mean_corr", "corr_excess", "p_value", "recovery_rate"]
    table = table.reindex(columns=keys).astype(np.float64)
    return {
        int(concept): verdict(**row, null_concepts=counts)
        for concept, row in table.to_dict("index").items()
    }


def _write_units(
    folder: Path,
    tables: RunTables,
    unit_examples: Mapping[str, Sequence[LayerExamples]],
    *,
    lookups: Mapping[str, NeighbourLookup],
    bars: Mapping[str, NDArray[np.uint8]],
) -> None:
    total = sum(len(units) for units in tables.units.values())
    with Progress("pages", total=total, unit="units") as progress:
        for number, model in enumerate(tables.names):
            concepts = unit_concepts(tables, model)
            for units in unit_files(tables.units[model]):
                content = unit_data(
                    model,
                    units,
                    tables=tables,
                    lookups=lookups,
                    layers=unit_examples[model],
                    histograms=bars[model],
                    concepts=concepts,
                )
                write_data(folder, f"units/{number}/{units.start // UNITS_PER_FILE}", content)
                progress.advance(len(units))
