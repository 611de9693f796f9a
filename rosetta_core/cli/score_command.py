"""The command `rosetta score`: ranking of new images by concepts and units of a finished run."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.cli.command import Command, argument, number_or_id, show
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, explain_read_only

if TYPE_CHECKING:
    import pandas as pd

    from rosetta_core.api.scoring.scores import Scores

__all__ = ["SCORE_COMMAND"]

TABLES, SHEETS = (".csv", ".parquet"), (".png", ".jpg", ".jpeg", ".pdf")
SHEET_IMAGES = 24  # of each concept or unit


def _score(arguments: argparse.Namespace) -> None:
    """Score images, and write the table and the contact sheet."""
    from rosetta_core.api.runs import open_run

    sheet = arguments.sheet or arguments.out.with_suffix(".png")
    _check_options(arguments, sheet)
    run = open_run(arguments.run, trust_code=arguments.trust_code)
    scores = run.score(
        arguments.folder,
        concepts=arguments.concept or (),
        units=arguments.units or (),
        models=arguments.models,
        size=arguments.size,
        count=arguments.count,
        column=arguments.column,
    )
    above = -math.inf if arguments.above is None else arguments.above
    table = _table(scores, top=arguments.top, above=above)
    show(repr(scores)[1:-1])
    for name, rows in table.groupby(["concept", "unit"], dropna=False, sort=False):
        title = f"concept {name[0]}" if isinstance(name[1], float) else str(name[1])
        show(f"{title}: {len(rows)} images, {rows['score'].max():.3g} to {rows['score'].min():.3g}")
    if table.empty:
        show(f"no image has a score of at least {above:g}")
    _write(table, scores, arguments.out, sheet, count=arguments.top, above=above)
    show(f"wrote {arguments.out}", f"wrote {sheet}")


def _check_options(arguments: argparse.Namespace, sheet: Path) -> None:
    """Check options before any work; RosettaError if one is invalid."""
    if not arguments.concept and not arguments.units:
        raise RosettaError("score: give --concept or --units; rosetta export lists them")
    if arguments.top < 1:
        raise RosettaError(f"--top: {arguments.top} is too small; use at least 1")
    if arguments.above is not None and math.isnan(arguments.above):
        raise RosettaError("--above: nan is not a score; give a number")
    for option, path, suffixes in (("--out", arguments.out, TABLES), ("--sheet", sheet, SHEETS)):
        if path.suffix.lower() not in suffixes:
            raise RosettaError(f"{option}: {path} does not end with {' or '.join(suffixes)}")
        if path.is_dir():
            raise RosettaError(f"{option}: {path} is a folder; give a file")


def _table(scores: "Scores", *, top: int, above: float) -> "pd.DataFrame":
    """Return one row per concept or unit and image, the highest scores first."""
    import pandas as pd

    parts = []
    for concept, name in zip(scores.concepts, scores.concept_ids, strict=True):
        part = scores.top(concept, top, above=above)
        parts.append(part.assign(concept=concept, concept_id=name, unit=None))
    for unit in scores.units:
        part = scores.top(count=top, unit=unit, above=above)
        parts.append(part.assign(concept=None, concept_id=None, unit=unit))
    table = pd.concat(parts, ignore_index=True)
    table["concept"] = table["concept"].astype("Int32")
    for column in ("concept_id", "unit", "name", "label"):
        table[column] = table[column].astype("str").where(table[column].notna())
    return table[["concept", "concept_id", "unit", "rank", "image", "name", "label", "score"]]


def _write(
    table: "pd.DataFrame", scores: "Scores", out: Path, sheet: Path, *, count: int, above: float
) -> None:
    """Write the table and the contact sheet; neither, if one of them cannot be written."""
    from rosetta_core.drawing.canvas import save

    figure = scores.plot_all(min(count, SHEET_IMAGES), above=above)
    with explain_read_only(out, cure="choose another path with --out"), atomic_path(out) as path:
        if out.suffix.lower() == ".parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
        save(figure, sheet)


SCORE_COMMAND = Command(
    "score",
    "rank new images by how strongly concepts and units of a run fire on them",
    _score,
    group="inspect",
    arguments=(
        argument(
            "folder",
            metavar="FOLDER",
            help="folder of images; or an image, a WebDataset archive (.tar) or a Parquet file, or "
            "a pattern of them in quotes",
        ),
        argument(
            "--run",
            type=Path,
            required=True,
            metavar="RUN",
            help="folder of the finished run, for example results/faces",
        ),
        argument(
            "--concept",
            action="append",
            type=number_or_id,
            metavar="N",
            help="number or id of a concept; may be repeated",
        ),
        argument(
            "--units",
            nargs="+",
            metavar="ID",
            help="units, model/layer/channel; their score is their peak, in std above the mean",
        ),
        argument(
            "--top",
            type=int,
            default=20,
            metavar="N",
            help="images per concept or unit, those with the highest score (default: 20)",
        ),
        argument(
            "--above",
            type=float,
            metavar="SCORE",
            help="leave out images with a lower score",
        ),
        argument(
            "--models",
            nargs="+",
            metavar="MODEL",
            help="models to use (default: all encoders, and the pivot unless it is a generator)",
        ),
        argument(
            "--size",
            type=int,
            metavar="N",
            help="side of the images in pixels (default: that of the mined images)",
        ),
        argument("--count", type=int, metavar="N", help="read the first N images (default: all)"),
        argument(
            "--column", metavar="NAME", help="column of images in Parquet, or suffix in archives"
        ),
        argument(
            "--out",
            type=Path,
            default=Path("scores.csv"),
            metavar="PATH",
            help="table, .csv or .parquet (default: scores.csv)",
        ),
        argument(
            "--sheet",
            type=Path,
            metavar="PATH",
            help="contact sheet, .png, .jpg or .pdf (default: the path of the table with .png)",
        ),
        argument(
            "--trust-code",
            action="store_true",
            help="execute Python code that the configuration of the run names; read it first",
        ),
    ),
    reads_config=False,
)
