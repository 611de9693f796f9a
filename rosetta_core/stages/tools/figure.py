"""Figures for papers: concepts across models, concepts on one image, and steering jobs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import explain_read_only
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_figure"]

CONCEPTS = 4  # number of concepts drawn by default
MAX_NAMED = 12  # longest list of concepts in a file name


def draw_figure(
    config: Config,
    *,
    concepts: Sequence[int | str] | None = None,
    examples: int = 4,
    images: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    image: int | None = None,
    jobs: Sequence[str] | None = None,
    out: Path | None = None,
) -> tuple[Path, Path]:
    """Draw a figure; return its PDF and its PNG.

    Args:
        config: configuration of a finished run.
        concepts: numbers or ids of concepts; None: the four with the highest mean correlation, or
            all with `image`.
        examples: number of images per concept, those with the highest concept score.
        images: image numbers that every concept is shown on, instead of its own examples.
        models: encoders that are columns, in this order; None: all.
        image: number of one image, on which the concepts are drawn.
        jobs: steering jobs whose source and result are drawn, instead of concepts.
        out: path of the figure without suffix; None: a file in the run's folder of figures.

    Raises:
        RosettaError: options contradict each other, a number is out of range, or a job is not
            finished.
    """
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.selection import top_examples
    from rosetta_core.mining.examples.stores import StoredConceptExamples
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.pages.figures import concepts_figure, image_figure
    from rosetta_core.runs.finished.run_tables import read_run_tables

    paths = RunPaths(config)
    figures = paths.run / "figures"
    if jobs:
        if concepts or images or models or image is not None:
            raise RosettaError("--jobs: cannot be combined with other options; remove them")
        return _draw_jobs(config, jobs, _without_suffix(out) or figures / "-".join(jobs))
    names = [config.model(name).name for name in models or ()]
    _check_options(examples=examples, images=images, models=models, image=image)
    tables = read_run_tables(config)
    concept_examples = StoredConceptExamples(paths.concept_examples, tables.units)
    n_concepts, n_images = concept_examples.scores.shape
    if n_concepts == 0:
        raise RosettaError(
            f"run {config.run!r}: there are no concepts to draw; increase neighbours.k"
        )
    chosen = [
        tables.concept_number(concept) if isinstance(concept, str) else concept
        for concept in concepts or ()
    ]
    _check_numbers(config, "concept", chosen, n_concepts)
    _check_numbers(config, "image", images or (), n_images)
    samples = Samples(paths.sample_stores)
    names_of_images = samples.file_names()
    if image is not None:
        _check_numbers(config, "image", (image,), n_images)
        figure = image_figure(
            tables,
            concept_examples,
            image=image,
            images=samples.images,
            concepts=list(dict.fromkeys(chosen)) or None,
            name=names_of_images[image] if names_of_images else "",
        )
        return _save(figure, _without_suffix(out) or figures / f"image-{image}")
    drawn = list(dict.fromkeys(chosen or range(min(CONCEPTS, n_concepts))))
    if images:
        shown = {concept: list(images) for concept in drawn}
    else:
        duplicates = find_near_duplicates(samples.images, samples.count)
        shown = {
            concept: top_examples(concept_examples.scores[concept], duplicates, count=examples)
            for concept in drawn
        }
    columns = list(dict.fromkeys([tables.pivot, *(names or tables.encoders)]))
    figure = concepts_figure(
        tables,
        concept_examples,
        shown=shown,
        images=samples.images,
        models=columns,
        names=names_of_images,
    )
    return _save(figure, _without_suffix(out) or figures / _file_name(drawn))


def _draw_jobs(config: Config, names: Sequence[str], path: Path) -> tuple[Path, Path]:
    """Draw the source image and the result of each steering job; return PDF and PNG."""
    from rosetta_core.drawing.contact_sheets import sheet
    from rosetta_core.steering.result_reader import read_images

    columns = [read_images(finished_job(config, name)) for name in names]
    tiles = [[source for source, _ in columns], [result for _, result in columns]]
    return _save(sheet(tiles, rows=["source", "result"], columns=list(names)), path)


def _save(figure: "Figure", path: Path) -> tuple[Path, Path]:
    """Write a figure; return its PDF and its PNG."""
    from rosetta_core.pages.figures import save_both

    with explain_read_only(path.parent, cure="choose another path with --out"):
        return save_both(figure, path)


def _check_options(
    *,
    examples: int,
    images: Sequence[int] | None,
    models: Sequence[str] | None,
    image: int | None,
) -> None:
    """Check that options do not contradict each other; RosettaError otherwise."""
    if image is not None and images:
        raise RosettaError("--image and --images: cannot be combined; remove one of them")
    if image is not None and models:
        raise RosettaError(
            "--image and --models: cannot be combined, because --image shows the pivot only; "
            "remove one of them"
        )
    if examples < 1:
        raise RosettaError(f"--examples: {examples} is too small; use at least 1")


def _check_numbers(config: Config, kind: str, numbers: Sequence[int], count: int) -> None:
    """Check that concept or image numbers are in range; RosettaError otherwise."""
    for number in numbers:
        if not 0 <= number < count:
            raise RosettaError(
                f"run {config.run!r}: there is no {kind} {number}; use 0 to {count - 1}"
            )


def _without_suffix(out: Path | None) -> Path | None:
    """Return a path without .pdf or .png, which are added when the figure is saved."""
    return out.with_suffix("") if out and out.suffix in (".pdf", ".png") else out


def _file_name(concepts: Sequence[int]) -> str:
    if len(concepts) > MAX_NAMED:
        return f"concepts-{concepts[0]}-and-{len(concepts) - 1}-more"
    return "-".join(["concepts", *map(str, concepts)])
