"""The dictionary of a run: pages that are opened from disk or from any web server.

write_site    the pages, their data and their pictures, into a folder

The pages are static: `static/` holds one page with its scripts and its style, which draw what they
find in `data/` and `pictures/`. They load of these what is looked at, and nothing else.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rosetta_core.drawing.pictures import write_card, write_images
from rosetta_core.mining.examples.concept_store import ConceptExamples
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.unit_store import LayerExamples
from rosetta_core.pages.dictionary.concept_data import Chosen, choose, concept_data
from rosetta_core.pages.dictionary.image_data import image_data, page_images, strongest
from rosetta_core.pages.dictionary.index_data import index_data, search_data
from rosetta_core.pages.dictionary.lookup import Neighbourhood, histograms, unit_concepts
from rosetta_core.pages.dictionary.maximisation_data import Show, write_show
from rosetta_core.pages.dictionary.model_data import model_data
from rosetta_core.pages.dictionary.unit_data import UNITS_PER_FILE, files, unit_data
from rosetta_core.pages.packed import write_data
from rosetta_core.runs.run_tables import RunTables
from rosetta_core.runtime.progress import Progress

__all__ = ["write_site"]

STATIC = Path(__file__).parent / "static"
Images = Callable[[range], NDArray[np.uint8]]


def write_site(
    folder: Path,
    findings: RunTables,
    *,
    unit_examples: Mapping[str, Sequence[LayerExamples]],
    concept_examples: ConceptExamples,
    images: Images,
    duplicates: NDArray[np.int32],
    examples: int,
    image_pages: int,
    origins: Sequence[str] = (),
    shows: Sequence[Show] = (),
) -> None:
    """Write the pages of a run into a folder, which is there.

    Args:
        folder: where to; the caller sees to it that it appears whole.
        findings: the run's tables.
        unit_examples: by model and layer what its units fire at.
        concept_examples: the concepts on all images.
        images: gives images (n, h, w, 3).
        duplicates: by image its group of near-duplicates.
        examples: images per concept and group.
        image_pages: how many images have a page.
        origins: by image the file it was taken from, or "class 3"; empty where neither is known.
        shows: what makes concepts strongest, for their pages.
    """
    shutil.copytree(STATIC, folder, dirs_exist_ok=True)
    bars = {model: histograms(layers) for model, layers in unit_examples.items()}
    near = {model: Neighbourhood(findings, model) for model in findings.names}
    chosen = [
        choose(concept, concept_examples, duplicates=duplicates, count=examples)
        for concept in range(len(concept_examples.scores))
    ]
    best = (image for rank in zip_longest(*(c.top for c in chosen)) for image in rank)
    pages = page_images(
        [image for image in best if image is not None], findings.images, count=image_pages
    )
    shown = set(pages).union(*(one.images for one in chosen))
    for layers in unit_examples.values():
        shown.update(*(set(layer.images[layer.images >= 0].tolist()) for layer in layers))
    missing = sorted(set(range(findings.images)) - shown)

    write_data(
        folder,
        "index",
        index_data(findings, concept_examples, pages=pages, missing=missing),
    )
    write_data(folder, "search", search_data(findings))
    write_data(folder, "models", model_data(findings))
    write_images(folder, images, shown)
    for number, show in enumerate(shows):
        write_show(folder, number, show)
    _write_concepts(
        folder,
        findings,
        concept_examples,
        chosen,
        near=near,
        bars=bars,
        images=images,
        shows=shows,
    )
    _write_image_pages(folder, findings, concept_examples, pages, origins)
    _write_units(folder, findings, unit_examples, near=near, bars=bars)


def _write_concepts(
    folder: Path,
    findings: RunTables,
    examples: ConceptExamples,
    chosen: Sequence[Chosen],
    *,
    near: Mapping[str, Neighbourhood],
    bars: Mapping[str, NDArray[np.uint8]],
    images: Images,
    shows: Sequence[Show],
) -> None:
    concept_of = unit_concepts(findings, findings.pivot)
    moments = {name: units[["mean", "std"]].to_numpy() for name, units in findings.units.items()}
    with Progress("pages", total=len(chosen), unit="concepts") as progress:
        for concept, members in findings.rosetta.groupby("concept"):
            content = concept_data(
                concept,
                members,
                chosen[concept],
                findings=findings,
                examples=examples,
                own=near[findings.pivot],
                moments=moments,
                histograms=bars,
                concept_of=concept_of,
                shows=shows,
            )
            write_data(folder, f"concepts/{concept}", content)
            best = chosen[concept].top[0]
            activation = dequantise(examples.maps(concept, findings.pivot)[best])
            card = folder / "pictures" / "concepts" / f"{concept}.webp"
            write_card(card, images(range(best, best + 1))[0], activation)
            progress.advance()


def _write_image_pages(
    folder: Path,
    findings: RunTables,
    examples: ConceptExamples,
    pages: Sequence[int],
    origins: Sequence[str],
) -> None:
    order = {image: strongest(examples.scores[:, image]) for image in pages}
    wanted: dict[int, list[int]] = {}  # by concept the images: its maps are read once
    for image, concepts in order.items():
        for concept in concepts:
            wanted.setdefault(concept, []).append(image)
    maps: dict[int, dict[int, NDArray[np.uint8]]] = {image: {} for image in pages}
    for concept, its in wanted.items():
        found = examples.maps(concept, findings.pivot)
        for image in its:
            maps[image][concept] = found[image]
    for image in pages:
        origin = origins[image] if origins else ""
        content = image_data(examples.scores[:, image], maps[image], origin=origin)
        write_data(folder, f"images/{image}", content)


def _write_units(
    folder: Path,
    findings: RunTables,
    unit_examples: Mapping[str, Sequence[LayerExamples]],
    *,
    near: Mapping[str, Neighbourhood],
    bars: Mapping[str, NDArray[np.uint8]],
) -> None:
    total = sum(len(units) for units in findings.units.values())
    with Progress("pages", total=total, unit="units") as progress:
        for number, model in enumerate(findings.names):
            concepts = unit_concepts(findings, model)
            for units in files(findings.units[model]):
                content = unit_data(
                    model,
                    units,
                    findings=findings,
                    near=near,
                    layers=unit_examples[model],
                    histograms=bars[model],
                    concepts=concepts,
                )
                write_data(folder, f"units/{number}/{units.start // UNITS_PER_FILE}", content)
                progress.advance(len(units))
