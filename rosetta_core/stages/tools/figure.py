"""Figures for papers: concepts across models, concepts on one image, and steering jobs."""

from collections.abc import Sequence
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.job_folders import finished_job
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.samples import open_samples

__all__ = ["draw_figure"]

STRONGEST = 4
LONGEST = 12  # list of concepts in a file name


def draw_figure(
    config: Config,
    *,
    concepts: Sequence[int] | None = None,
    examples: int = 4,
    images: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    image: int | None = None,
    jobs: Sequence[str] | None = None,
    out: Path | None = None,
) -> tuple[Path, Path]:
    """Draw a figure; return its PDF and its PNG.

    Args:
        config: of a run that has been mined.
        concepts: which; default: the four strongest, or all with `image`.
        examples: images per concept, those with the most score.
        images: the example images of every concept, in place of these.
        models: the encoders that get columns, in this order; default: all.
        image: draw the concepts on this one image.
        jobs: draw what these steering jobs came to.
        out: where to, without suffix; default: the run's folder of figures.
    """
    from rosetta_core.mining.examples.concept_store import StoredConceptExamples
    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.selection import top_examples
    from rosetta_core.pages.figures import concepts_figure, image_figure, save_both
    from rosetta_core.runs.run_tables import read_run_tables

    paths = RunPaths(config)
    if jobs:
        if concepts or images or models or image is not None:
            raise RosettaError("--jobs: draws nothing but jobs; leave the other options out")
        return _of_jobs(config, jobs, _path(out) or paths.run / "figures" / "-".join(jobs))
    names = [config.model(name).name for name in models or ()]
    _check_options(examples=examples, images=images, models=models, image=image)
    findings = read_run_tables(config)
    stored = StoredConceptExamples(paths.concept_examples, findings.units)
    found, drawn = stored.scores.shape
    if found == 0:
        raise RosettaError(f"run {config.run!r} found no concepts to draw; raise neighbours.k")
    _check_numbers(config, "concept", concepts or (), found)
    _check_numbers(config, "image", images or (), drawn)
    samples = open_samples(config)
    if image is not None:
        _check_numbers(config, "image", (image,), drawn)
        picture = image_figure(
            findings,
            stored,
            image=image,
            images=samples.images,
            concepts=concepts and list(dict.fromkeys(concepts)),
        )
        return save_both(picture, _path(out) or paths.run / "figures" / f"image-{image}")
    chosen = list(dict.fromkeys(concepts or range(min(STRONGEST, found))))
    if images:
        shown = {concept: list(images) for concept in chosen}
    else:
        duplicates = find_near_duplicates(samples.images, samples.count)
        shown = {
            concept: top_examples(stored.scores[concept], duplicates, count=examples)
            for concept in chosen
        }
    columns = list(dict.fromkeys([findings.pivot, *(names or findings.encoders)]))
    picture = concepts_figure(findings, stored, shown=shown, images=samples.images, models=columns)
    return save_both(picture, _path(out) or paths.run / "figures" / _name(chosen))


def _of_jobs(config: Config, names: Sequence[str], path: Path) -> tuple[Path, Path]:
    """Draw of each job the image that it is of, and the one that it came to."""
    from rosetta_core.drawing.contact_sheets import sheet
    from rosetta_core.pages.figures import save_both
    from rosetta_core.steering.result_io.job_folder import read_images

    columns = [read_images(finished_job(config, name)) for name in names]
    tiles = [[of for of, _ in columns], [result for _, result in columns]]
    return save_both(sheet(tiles, rows=["of", "result"], columns=list(names)), path)


def _check_options(
    *,
    examples: int,
    images: Sequence[int] | None,
    models: Sequence[str] | None,
    image: int | None,
) -> None:
    """RosettaError if they make no sense together."""
    if image is not None and images:
        raise RosettaError("--image and --images: draw one image or example images; leave out one")
    if image is not None and models:
        raise RosettaError("--image and --models: one image is drawn for the pivot; leave out one")
    if examples < 1:
        raise RosettaError(f"--examples {examples}: give at least 1")


def _check_numbers(config: Config, kind: str, numbers: Sequence[int], count: int) -> None:
    """RosettaError if one of the numbers is out of range."""
    for number in numbers:
        if not 0 <= number < count:
            raise RosettaError(
                f"no {kind} {number} in run {config.run!r}; its {kind}s are 0 to {count - 1}"
            )


def _path(out: Path | None) -> Path | None:
    """Without a suffix that is added anyway."""
    return out.with_suffix("") if out and out.suffix in (".pdf", ".png") else out


def _name(concepts: Sequence[int]) -> str:
    if len(concepts) > LONGEST:
        return f"concepts-{concepts[0]}-and-{len(concepts) - 1}-more"
    return "-".join(["concepts", *map(str, concepts)])
