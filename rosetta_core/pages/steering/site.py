"""The page of a run's steering jobs: opened from disk or from any web server.

write_steering_site    the page and what it shows, into a folder of its own

There is one page, without scripts: `static/` has its template and its style, which adds to that of
the dictionary. It shows what lies beside it and loads nothing else.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.pages.steering.results import KINDS, Result, read_result
from rosetta_core.pages.templates import templates

__all__ = ["write_steering_site"]

STATIC = Path(__file__).parent / "static"
DICTIONARY_STYLE = Path(__file__).parents[1] / "dictionary" / "static" / "style.css"


def write_steering_site(
    folder: Path,
    jobs: Sequence[Path],
    *,
    run: str,
    pivot: str,
    encoders: Sequence[str],
    dictionary: str | None = None,
    untrained: Sequence[str] = (),
) -> Path:
    """Write the page of steering jobs, whole or not at all; return its folder.

    Args:
        folder: where to; what stood there before is replaced.
        jobs: their folders, in the order of the page within each kind.
        run: its name.
        pivot: the name of the generator.
        encoders: the names of the encoders.
        dictionary: the address of the dictionary's pages as seen from `folder`, such as
            `../dictionary/index.html`; without, nothing leads there.
        untrained: the names of those that have random weights.

    Raises:
        RosettaError: a job's folder lacks something, or two have the same kind and name.
    """
    results = [read_result(job) for job in jobs]
    places = [(KINDS[result.kind], result.folder.name) for result in results]
    for place in places:
        if places.count(place) > 1:
            raise RosettaError(
                f"{'/'.join(place)}: two steering jobs are there; give one another name"
            )
    environment = templates(STATIC)
    environment.globals["address"] = _address
    text = environment.get_template("page.html").render(
        run=run,
        pivot=pivot,
        encoders=encoders,
        dictionary=dictionary,
        untrained=untrained,
        kinds={kind: [one for one in results if one.kind == kind] for kind in KINDS},
        count=len(results),
    )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "index.html").write_text(text, encoding="utf-8")
        shutil.copyfile(DICTIONARY_STYLE, temporary / "style.css")
        shutil.copyfile(STATIC / "steering.css", temporary / "steering.css")
        for (kind, name), result in zip(places, results, strict=True):
            into = temporary / "jobs" / kind / name
            into.mkdir(parents=True)
            for file in result.files:
                shutil.copyfile(file, into / file.name)
    return folder


def _address(result: Result, file: str) -> str:
    """Where a job's file lies, as seen from the page."""
    return quote(f"jobs/{KINDS[result.kind]}/{result.folder.name}/{file}")
