"""Page of the steering jobs of a run: one page without scripts, and its files."""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.pages.steering_results import KINDS, Result, read_result
from rosetta_core.pages.templates import render

__all__ = ["write_steering_page"]


def write_steering_page(
    folder: Path,
    jobs: Sequence[Path],
    *,
    run: str,
    pivot: str,
    encoders: Sequence[str],
    dictionary: str | None = None,
    untrained: Sequence[str] = (),
) -> Path:
    """Write the page of steering jobs atomically; return its folder.

    Args:
        folder: folder of the page; an existing one is replaced.
        jobs: folders of the jobs, in the order of the page within each kind.
        run: name of the run.
        pivot: name of the generator.
        encoders: names of the encoders.
        dictionary: address of the dictionary relative to `folder`, for example
            `../dictionary/index.html`; None: no links to it.
        untrained: names of the models with random weights.

    Raises:
        RosettaError: a file of a job is missing, or two jobs have the same kind and name.
    """
    results = [read_result(job) for job in jobs]
    places = [(result.kind, result.folder.name) for result in results]
    for place in places:
        if places.count(place) > 1:
            raise RosettaError(f"{'/'.join(place)}: two steering jobs; rename one of them")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        render(
            temporary,
            "steering",
            run=run,
            pivot=pivot,
            encoders=encoders,
            dictionary=dictionary,
            untrained=untrained,
            kinds=KINDS,
            jobs={kind: [one for one in results if one.kind == kind] for kind in KINDS},
            address=_address,
            original=partial(_original, folder),
        )
        for result in results:
            job_folder = temporary / "jobs" / result.kind / result.folder.name
            job_folder.mkdir(parents=True)
            for file in result.files:
                shutil.copyfile(file, job_folder / file.name)
    return folder


def _original(page: Path, key: str, value: str) -> str | None:
    """Address of the image file that a setting names, relative to the page; None if missing."""
    if key.rpartition(".")[2] not in ("file", "mask") or not Path(value).is_file():
        return None
    return quote(os.path.relpath(value, page))


def _address(result: Result, file: str) -> str:
    """Address of a job's file relative to the page."""
    return quote(f"jobs/{result.kind}/{result.folder.name}/{file}")
