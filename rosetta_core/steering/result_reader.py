"""Reader of the folders of finished steering jobs, without torch.

A folder holds `job.json` (what the job is), `metrics.parquet`, `images.npz`, `latents.npz` and
pictures. Evaluations also have `table.parquet` (Table 1), tunings the weights of the generator.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError
from rosetta_core.io.regular_files import open_regular
from rosetta_core.io.strict_json import read_json
from rosetta_core.io.tables import read_parquet

__all__ = [
    "ACTIVITY_AFTER",
    "ACTIVITY_BEFORE",
    "CONTACT_SHEET",
    "KINDS",
    "LOSS_CURVE",
    "MAPS",
    "METRICS",
    "RESULT",
    "TABLE",
    "TABLE_MARKDOWN",
    "TARGET",
    "TRAJECTORY",
    "TUNED_WEIGHTS",
    "JobDescription",
    "read_arrays",
    "read_description",
    "read_images",
    "read_latent",
    "read_metrics",
    "read_table",
]

KINDS = {  # folder of the jobs of each kind, within a run
    "inversion": "inversions",
    "show": "shows",
    "edit": "edits",
    "tuning": "tunings",
    "evaluation": "evaluations",
}
DESCRIPTION = "job.json"
METRICS, TABLE, TABLE_MARKDOWN = "metrics.parquet", "table.parquet", "table.md"
IMAGES, LATENTS, TUNED_WEIGHTS = "images.npz", "latents.npz", "generator.safetensors"
RESULT, TARGET = "result.png", "target.png"
CONTACT_SHEET, MAPS, LOSS_CURVE = "contact_sheet.png", "maps.png", "loss_curve.png"
TRAJECTORY = "trajectory.mp4"
MAX_RATIO = 50  # of sizes before and after compression; DEFLATE reaches 1032
MAX_FREE_BYTES = 2**30  # of arrays that a file may declare in any case
ACTIVITY_BEFORE = "activity before (std of random images)"  # metrics of maximisations
ACTIVITY_AFTER = "activity after (std of random images)"


@dataclass(frozen=True)
class JobDescription:
    """What a job is.

    Attributes:
        name: name of the job.
        kind: kind of the job, one of `KINDS`.
        about: the job in one line.
        settings: all settings, by key of the configuration.
        summary: the most important metrics, as (label, text).
        concept: concept that is shown, for activation maximisation.
        methods: names of the methods, for an evaluation.
    """

    name: str
    kind: str
    about: str
    settings: dict[str, Any]
    summary: list[tuple[str, str]]
    concept: int | None = None
    methods: tuple[str, ...] = ()


def read_description(folder: Path) -> JobDescription:
    """Return what the job of a folder is.

    Raises:
        RosettaError: `job.json` is missing or does not describe a steering job.
    """
    path = folder / DESCRIPTION
    try:
        content = read_json(path)
        if content["kind"] not in KINDS:
            raise ValueError(f"kind {content['kind']!r}")
        concept = content["concept"]
        if concept is not None and (type(concept) is not int or concept < 0):
            raise ValueError(f"concept {concept!r}")
        return JobDescription(
            name=str(content["name"]),
            kind=content["kind"],
            about=str(content["about"]),
            settings=dict(content["settings"]),
            summary=[(str(label), str(text)) for label, text in content["summary"]],
            concept=concept,
            methods=tuple(str(method) for method in content["methods"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RosettaError(
            f"{path}: does not describe a steering job ({type(error).__name__}: {error}); "
            "run the job again"
        ) from error


def read_metrics(folder: Path) -> pd.DataFrame:
    """Return the metrics of a job: item, (method,) restart, best, metric, value.

    Raises:
        RosettaError: the table is missing or damaged.
    """
    return _read_parquet(folder / METRICS)


def read_table(folder: Path) -> pd.DataFrame:
    """Return the table of an evaluation: method, metric, mean, ci_low, ci_high, images.

    Raises:
        RosettaError: the table is missing or damaged.
    """
    return _read_parquet(folder / TABLE)


def read_latent(folder: Path) -> NDArray[np.float32]:
    """Return the latent (1, …) of the best restart.

    Raises:
        RosettaError: the file is missing or damaged.
    """
    arrays = read_arrays(folder / LATENTS)
    return arrays["latents"][arrays["best"][:1]]


def read_images(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the first target, or initial image if there is no target, and its result (h, w, 3).

    Raises:
        RosettaError: the file is missing or damaged, or the job is an evaluation.
    """
    arrays = read_arrays(folder / IMAGES)
    if arrays["after"].ndim != 4:
        raise RosettaError(
            f"{folder}: has images of several methods; see {folder / CONTACT_SHEET} instead"
        )
    return arrays.get("target", arrays["before"])[0], arrays["after"][0]


def read_arrays(path: Path) -> dict[str, NDArray]:
    """Return all arrays of a `.npz` file by name.

    Raises:
        RosettaError: the file is missing or damaged.
    """
    try:
        with open_regular(path) as raw, ZipFile(raw) as archive:
            members = archive.infolist()
            size = os.fstat(raw.fileno()).st_size
            if sum(member.file_size for member in members) > MAX_FREE_BYTES + MAX_RATIO * size:
                raise ValueError("declares more bytes than its size allows")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _numbers(arrays[name]) for name in arrays.files}
    except (OSError, EOFError, ValueError, TypeError, MemoryError, zlib.error, BadZipFile) as error:
        raise RosettaError(f"{path}: is missing or damaged; run the job again") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return read_parquet(path).to_pandas()
    except Exception as error:  # a flipped bit can raise anything
        raise RosettaError(f"{path}: is missing or damaged; run the job again") from error


def _numbers(values: object) -> NDArray:
    """Return an array; ValueError unless it has numbers."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise ValueError("has no array of numbers")
    return values
