"""The results of steering jobs, as their page shows them.

KINDS          the kinds of jobs, and the folders that theirs are in
Result         what a job left: words, pictures, measures
Table          rows of words under a head
Comparison     methods by measures, a Mean each
Mean           a mean and its interval, in words
read_result    of a job's folder
number         a measure in a few digits
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from PIL import Image

from rosetta_core.config.steering import Job
from rosetta_core.errors import RosettaError
from rosetta_core.steering.metrics.evaluation_table import DIGITS, HIGHER_IS_BETTER

__all__ = ["KINDS", "Comparison", "Mean", "Result", "Table", "number", "read_result"]

KINDS = {kind.job_kind: kind.folder for kind in get_args(Job)}
PICTURES = ("sheet.png", "maps.png", "curve.png")
VIDEO = ("way.mp4", "result.png")  # and what is seen before it is played
WRITTEN = "table.md"


@dataclass(frozen=True)
class Table:
    """Words in rows, the first of which are their names.

    Attributes:
        head: a name per column.
        rows: as many words each.
    """

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Mean:
    """A method's mean of a measure, in words.

    Attributes:
        mean: over the images.
        interval: of that mean.
        best: whether no method has one that reads better.
    """

    mean: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Comparison:
    """The paper's Table 1.

    Attributes:
        measures: names, and whether the smaller is the better.
        rows: by method a mean for each measure, None where there is none.
        images: how many the means are over, in words.
    """

    measures: list[tuple[str, bool]]
    rows: dict[str, list[Mean | None]]
    images: str


@dataclass(frozen=True)
class Result:
    """What a job left in its folder.

    Attributes:
        folder: where it is.
        name: of the job.
        kind: of the job.
        about: a line of words, with the class that was asked for.
        concept: that it shows, if any.
        summary: what matters most, and its value.
        sizes: of the pictures that are there, by file (width, height).
        video: whether there is one of the way.
        measures: all of the best start.
        settings: all, by dotted key.
        comparison: of an evaluation's methods.
    """

    folder: Path
    name: str
    kind: str
    about: str
    concept: int | None
    summary: list[tuple[str, str]]
    sizes: dict[str, tuple[int, int]]
    video: bool
    measures: Table
    settings: Table
    comparison: Comparison | None

    @property
    def files(self) -> list[Path]:
        """Those that the page shows or leads to."""
        names = [*self.sizes, *(VIDEO if self.video else ()), WRITTEN]
        return [path for name in names if (path := self.folder / name).is_file()]


def read_result(folder: Path) -> Result:
    """Read what a job left in its folder.

    Raises:
        RosettaError: something is missing, or is no result of a steering job.
    """
    path = folder / "job.json"
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
        kind, name, about = job["kind"], job["name"], job["about"]
        summary = [(str(label), str(text)) for label, text in job["summary"]]
        settings, concept = job["settings"], job.get("concept")
        if settings.get("class_label") is not None:
            about += f"; class {settings['class_label']}"
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RosettaError(
            f"{path}: doesn't describe a steering job ({type(error).__name__}: {error}); "
            "run the job again"
        ) from error
    video = (folder / VIDEO[0]).is_file()
    needed = ["sheet.png", "metrics.parquet", *(VIDEO if video else ())]
    needed += ["table.parquet"] if kind == "evaluation" else []
    for file in needed:
        if not (folder / file).is_file():
            raise RosettaError(f"{folder / file}: is missing; run the job again")
    sizes = {}
    for file in PICTURES:
        if (folder / file).is_file():
            with Image.open(folder / file) as opened:
                sizes[file] = opened.size
    return Result(
        folder=folder,
        name=name,
        kind=kind,
        about=about,
        concept=concept,
        summary=summary,
        sizes=sizes,
        video=video,
        measures=_measures(folder / "metrics.parquet"),
        settings=Table(
            ["setting", "value"], [[key, _said(value)] for key, value in _flat(settings)]
        ),
        comparison=_comparison(folder / "table.parquet") if kind == "evaluation" else None,
    )


def number(value: float) -> str:
    """A measure with four digits, or as a whole number; a dash if it is no number."""
    if math.isnan(value):
        return "–"
    text = f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"
    return text.replace("-", "−")


def _measures(path: Path) -> Table:
    """Those of the best start: a row a measure; of several items a row an item."""
    rows = pd.read_parquet(path)
    rows = rows[rows["best"]]
    if "method" in rows:
        rows = rows.assign(item=rows["item"] + ", " + rows["method"])
    twice = rows[rows.duplicated(["item", "metric"])]
    if len(twice):
        first = twice.iloc[0]
        raise RosettaError(
            f"{path}: item {first['item']!r} has {first['metric']!r} of two best starts; run the "
            "job again"
        )
    items, metrics = (list(dict.fromkeys(rows[key])) for key in ("item", "metric"))
    values = rows.set_index(["item", "metric"])["value"]
    if len(items) <= 1:
        its = [[metric, number(values[items[0], metric])] for metric in metrics]
        return Table(["measure", "value"], its)
    return Table(
        ["", *metrics],
        [[item, *(number(values.get((item, one), math.nan)) for one in metrics)] for item in items],
    )


def _comparison(path: Path) -> Comparison:
    rows = pd.read_parquet(path)
    methods, measures = (list(dict.fromkeys(rows[key])) for key in ("method", "metric"))
    found: dict[str, list[Mean | None]] = {method: [] for method in methods}
    smaller = {name: name not in HIGHER_IS_BETTER for name in measures}
    for name in measures:
        its = rows[rows["metric"] == name].set_index("method")
        best = its["mean"].min() if smaller[name] else its["mean"].max()
        digits = DIGITS.get(name, 3)
        for method in methods:
            if method not in its.index:
                found[method].append(None)
                continue
            mean, low, high, top = (
                f"{value:.{digits}f}".replace("-", "−")
                for value in (*its.loc[method, ["mean", "low", "high"]], best)
            )
            found[method].append(Mean(mean, f"{low} to {high}", mean == top))
    counts = sorted(set(rows["images"]))
    images = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return Comparison(list(smaller.items()), found, images)


def _flat(settings: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in settings.items():
        if isinstance(value, dict):
            found += _flat(value, f"{above}{key}.")
        else:
            found.append((f"{above}{key}", value))
    return found


def _said(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_said(one)}" for key, one in value.items() if one is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(_said, value)) or "none"
    return str(value)
