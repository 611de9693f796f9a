"""Results of steering jobs, read from their folders for the steering page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta_core.errors import RosettaError
from rosetta_core.io.images import open_image
from rosetta_core.steering.metrics.evaluation_table import DIGITS, HIGHER_IS_BETTER
from rosetta_core.steering.result_reader import (
    CONTACT_SHEET,
    LOSS_CURVE,
    MAPS,
    METRICS,
    RESULT,
    TABLE,
    TABLE_MARKDOWN,
    TRAJECTORY,
    read_description,
    read_metrics,
    read_table,
)

__all__ = ["KINDS", "Comparison", "JobKind", "Mean", "Result", "Table", "number", "read_result"]

PICTURES = (CONTACT_SHEET, MAPS, LOSS_CURVE)
VIDEO = (TRAJECTORY, RESULT)  # the video, and the picture shown before it is played


@dataclass(frozen=True)
class JobKind:
    """Texts of a kind of steering job.

    Attributes:
        title: heading of its section.
        text: one sentence below the heading.
        sheet: description of the contact sheet.
    """

    title: str
    text: str
    sheet: str


KINDS = {
    "inversion": JobKind(
        "Inversions",
        "Latents whose activation maps match the encoders' maps of a target image.",
        "Target image, start and result",
    ),
    "show": JobKind(
        "Activation maximisation",
        "Random images before and after their latents were optimised to make a concept or a unit "
        "more active.",
        "Random images before and after optimisation",
    ),
    "edit": JobKind(
        "Edits",
        "Images whose activation maps were changed, and the images that follow the changed maps.",
        "The image before and after the edit",
    ),
    "tuning": JobKind(
        "Pivotal tuning",
        "Generators fine-tuned around an inverted latent until they reproduce its target image.",
        "The target image, before and after tuning",
    ),
    "evaluation": JobKind(
        "Evaluation (Table 1)",
        "Held-out images inverted without matches, with those of each encoder, and with all.",
        "Some of the images, and the result of each method",
    ),
}


@dataclass(frozen=True)
class Table:
    """Table of text.

    Attributes:
        head: one name per column.
        rows: one text per column each; the first one names the row.
    """

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Mean:
    """Mean of a metric over the images of a method, as text.

    Attributes:
        mean: the mean.
        interval: its 95% confidence interval.
        best: whether no other method has a better rounded mean.
    """

    mean: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Comparison:
    """Comparison of inversion methods (Table 1 of the paper).

    Attributes:
        metrics: names, and whether a lower value is better.
        rows: by method one mean per metric; None where it was not computed.
        images: number of images, as text.
    """

    metrics: list[tuple[str, bool]]
    rows: dict[str, list[Mean | None]]
    images: str


@dataclass(frozen=True)
class Result:
    """Result of a steering job.

    Attributes:
        folder: folder of the job.
        name: name of the job.
        kind: key of `KINDS`.
        about: one line about the job, with the class label if one was given.
        concept: number of the concept that an activation maximisation is about, if any.
        summary: labels and values of the main metrics.
        sizes: by name of the pictures in the folder their (width, height) in pixels.
        video: whether there is a video of the trajectory.
        metrics: all metrics of the best restart.
        settings: all settings, by dotted key.
        comparison: comparison of methods; None unless the job is an evaluation.
    """

    folder: Path
    name: str
    kind: str
    about: str
    concept: int | None
    summary: list[tuple[str, str]]
    sizes: dict[str, tuple[int, int]]
    video: bool
    metrics: Table
    settings: Table
    comparison: Comparison | None

    @property
    def files(self) -> list[Path]:
        """Files that the page shows or links to."""
        names = [*self.sizes, *(VIDEO if self.video else ()), TABLE_MARKDOWN]
        return [path for name in names if (path := self.folder / name).is_file()]


def read_result(folder: Path) -> Result:
    """Read the result of a steering job.

    Raises:
        RosettaError: a file is missing or invalid.
    """
    description = read_description(folder)
    about, settings = description.about, description.settings
    if settings.get("class_label") is not None:
        about += f"; class {settings['class_label']}"
    video = (folder / VIDEO[0]).is_file()
    needed = [CONTACT_SHEET, METRICS, *(VIDEO if video else ())]
    needed += [TABLE] if description.kind == "evaluation" else []
    for file in needed:
        if not (folder / file).is_file():
            raise RosettaError(f"{folder / file}: missing; run the job again")
    sizes = {}
    for file in PICTURES:
        if (folder / file).is_file():
            with open_image(folder / file) as picture:
                sizes[file] = picture.size
    return Result(
        folder=folder,
        name=description.name,
        kind=description.kind,
        about=about,
        concept=description.concept,
        summary=description.summary,
        sizes=sizes,
        video=video,
        metrics=_metrics(folder),
        settings=Table(
            ["setting", "value"], [[key, _text(value)] for key, value in _flat(settings)]
        ),
        comparison=_comparison(folder) if description.kind == "evaluation" else None,
    )


def number(value: float) -> str:
    """Return a metric with four digits, or as a whole number; a dash for NaN."""
    if math.isnan(value):
        return "–"
    text = f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"
    return text.replace("-", "−")


def _metrics(folder: Path) -> Table:
    """Metrics of the best restart: one row per metric, or with several items one row per item."""
    rows = read_metrics(folder)
    rows = rows[rows["best"]]
    if "method" in rows:
        rows = rows.assign(item=rows["item"] + ", " + rows["method"])
    twice = rows[rows.duplicated(["item", "metric"])]
    if len(twice):
        first = twice.iloc[0]
        raise RosettaError(
            f"{folder / METRICS}: item {first['item']!r} has {first['metric']!r} of two best "
            "restarts; run the job again"
        )
    items, metrics = (list(dict.fromkeys(rows[key])) for key in ("item", "metric"))
    values = rows.set_index(["item", "metric"])["value"]
    if len(items) <= 1:
        body = [[metric, number(values[items[0], metric])] for metric in metrics]
        return Table(["metric", "value"], body)
    return Table(
        ["", *metrics],
        [[item, *(number(values.get((item, one), math.nan)) for one in metrics)] for item in items],
    )


def _comparison(folder: Path) -> Comparison:
    table = read_table(folder)
    methods, metrics = (list(dict.fromkeys(table[key])) for key in ("method", "metric"))
    means: dict[str, list[Mean | None]] = {method: [] for method in methods}
    lower_is_better = {name: name not in HIGHER_IS_BETTER for name in metrics}
    for name, lower in lower_is_better.items():
        rows = table[table["metric"] == name].set_index("method")
        best = rows["mean"].min() if lower else rows["mean"].max()
        digits = DIGITS.get(name, 3)
        for method in methods:
            if method not in rows.index:
                means[method].append(None)
                continue
            mean, low, high, best_text = (
                f"{value:.{digits}f}".replace("-", "−")
                for value in (*rows.loc[method, ["mean", "ci_low", "ci_high"]], best)
            )
            means[method].append(Mean(mean, f"{low} to {high}", mean == best_text))
    counts = sorted(set(table["images"]))
    images = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return Comparison(list(lower_is_better.items()), means, images)


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings by dotted key."""
    flat = []
    for key, value in settings.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", value))
    return flat


def _text(value: Any) -> str:
    """A setting as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(one)}" for key, one in value.items() if one is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(_text, value)) or "none"
    return str(value)
