"""The model card of a trained encoder, in Markdown.

card            what it is, how it was made, and what can be read out of its features
Facts           what of it the recipe doesn't say
Machine         where it was made, with which versions, and when
this_machine    here and now
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml
from pydantic import BaseModel

from rosetta_core.runtime.machine import processor
from rosetta_core.training.recipe import Recipe

__all__ = ["Facts", "Machine", "card", "this_machine"]

LAST = 50  # steps, whose mean loss is told
PLACES = {"results", "resources", "device"}  # keys of a recipe that are of one machine
MAE = "masked autoencoder (MAE; He et al., CVPR 2022)"
DINO = "self-distillation (DINO; Caron et al., ICCV 2021)"
PATCHES = "with a loss of hidden patches (after iBOT, Zhou et al., ICLR 2022, and data2vec)"
COLUMNS = [(x, p) for x in ("trained", "untrained", "pixels") for p in ("linear", "neighbours")]
READING = (
    "R² on {tested:,} images that the probes weren't fitted to{unseen}: 1 where a label is "
    "foretold exactly, 0 where its mean would do as well, – where it is unknown or the same in "
    "all; the features are good for a label where the trained encoder beats both itself before "
    "training and the pixels of the images reduced to 16×16."
)


class Machine(NamedTuple):
    """Where an encoder was made, with which versions, and when (YYYY-MM-DD in UTC)."""

    processor: str
    torch: str
    timm: str
    date: str


@dataclass(frozen=True)
class Facts:
    """What the recipe of an encoder doesn't say of it.

    Attributes:
        parameters: of the encoder, without what it was trained with.
        bytes: of its file.
        sha256: of its file, in hexadecimal.
        images: how many different ones it was trained on.
        tested: how many the probes were tested on.
        machine: where it was trained.
        shipped: whether it comes with this package, under its name and its licence.
    """

    parameters: int
    bytes: int
    sha256: str
    images: int
    tested: int
    machine: Machine
    shipped: bool = False


def this_machine(device: torch.device) -> Machine:
    """The machine on which this runs: its GPU where `device` is one, else its processor."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return Machine(name, version("torch"), version("timm"), today)


def card(recipe: Recipe, facts: Facts, *, losses: pd.DataFrame, probes: pd.DataFrame) -> str:
    """Return the model card of a trained encoder, as Markdown.

    Args:
        recipe: that it was trained by.
        facts: what the recipe doesn't say.
        losses: of every step, with columns loss and seconds.
        probes: label, features, probe, r2, as probes.probe_table returns them.
    """
    drawn = recipe.images.generator
    source = f"images that {_code(drawn.name)} drew" if drawn else "the images of a folder"
    how = f"{'as a' if recipe.mae else 'by'} {_method(recipe)}"
    file = f"{recipe.name.replace('_', '-')}.yaml"
    command = f"rosetta train {'configs/train/' if facts.shipped else ''}{file}"
    unseen = ", nor the encoder trained on" if drawn else ""
    parts = [
        f"# {_code(recipe.name)}",
        f"A vision transformer, taught without labels {how}, on {source}. "
        "It was trained on nothing else, and only the encoder is kept.",
        _table(["", ""], _rows(recipe, facts, losses)),
        "## What can be read out of its features",
        _probe_table(probes),
        READING.format(tested=facts.tested, unseen=unseen),
        _labels(faces=recipe.probes.faces),
        "## The recipe",
        _block(_recipe(recipe), "yaml"),
        "It is made again by" if facts.shipped else f"Kept as {_code(file)}, it is made again by",
        _block(command, "sh"),
        "## How to use it",
        _block(_use(recipe, facts), "yaml"),
    ]
    return "\n\n".join(parts) + "\n"


def _method(recipe: Recipe) -> str:
    if recipe.dino:
        return f"{DINO} {PATCHES}" if recipe.dino.masked else DINO
    return MAE


def _rows(recipe: Recipe, facts: Facts, losses: pd.DataFrame) -> list[list[str]]:
    """The facts, one a row."""
    drawn, machine = recipe.images.generator, facts.machine
    source = f"drawn by {_code(drawn.name)}" if drawn else f"of {_code(str(recipe.images.folder))}"
    measure = "squared error of hidden patches" if recipe.mae else "cross-entropy"
    arguments = json.dumps(recipe.arguments, ensure_ascii=False)
    last, seconds = losses.loss.tail(LAST), losses.seconds.sum()
    rows = {
        "method": _method(recipe),
        "architecture": f"timm's {_code(recipe.architecture)} with {_code(arguments)}",
        "parameters": f"{facts.parameters:,}",
        "file": f"{facts.bytes / 1e6:.2f} MB, float16 safetensors",
        "SHA-256": _code(facts.sha256),
        "images": f"{facts.images:,} different ones, {source}",
        "steps": f"{len(losses):,} of {recipe.batch_size:,} images",
        "loss": f"{measure}: {losses.loss.iloc[0]:.3f} at the first step, "
        f"{last.mean():.3f} over the last {len(last)}",
        "seed": str(recipe.seed),
        "time": f"{seconds:,.0f} seconds",
        "machine": machine.processor,
        "versions": f"torch {machine.torch}, timm {machine.timm}",
        "date": machine.date,
    }
    return [[key, value] for key, value in (rows | _licence(facts)).items()]


def _licence(facts: Facts) -> dict[str, str]:
    """That of what is shipped; others' encoders are theirs."""
    return {"licence": "MIT"} if facts.shipped else {}


def _probe_table(probes: pd.DataFrame) -> str:
    values = {
        (row.label, row.features, row.probe.removeprefix("nearest ")): row.r2
        for row in probes.itertuples()
    }
    labels = list(dict.fromkeys(probes.label))
    rows = [
        [str(label).replace("_", " "), *(_number(values[label, *column]) for column in COLUMNS)]
        for label in labels
    ]
    return _table(["R²", *(", ".join(column) for column in COLUMNS)], rows)


def _number(r2: float) -> str:
    return "–" if pd.isna(r2) else f"{r2:z.2f}".replace("-", "−")


def _labels(*, faces: bool) -> str:
    """What the labels are, and the probes."""
    found = " Pose, tilt and mouth are of the landmarks that O-Net of MTCNN finds." if faces else ""
    return (
        "Features are the means of the patches' tokens over the quarters of the image, with the "
        "class token if there is one. Linear is a ridge regression, neighbours the mean of "
        "the 20 nearest by cosine. Brightness, warmth and side light are weighted sums of pixels, "
        f"so pixels foretell them by definition.{found}"
    )


def _recipe(recipe: Recipe) -> str:
    """The recipe as YAML, every key that is of no one machine."""
    return _yaml({key: value for key, value in _keys(recipe).items() if key not in PLACES})


def _keys(section: BaseModel) -> dict[str, Any]:
    """The keys of a section, without those that are null unless given."""
    found = {key: getattr(section, key) for key in type(section).model_fields}
    return {
        key: _keys(value) if isinstance(value, BaseModel) else value
        for key, value in found.items()
        if value is not None or type(section).model_fields[key].default is not None
    }


def _use(recipe: Recipe, facts: Facts) -> str:
    """What a configuration says to have the encoder in its zoo."""
    if facts.shipped:
        return _yaml({"encoders": [recipe.name]})
    encoder = {
        "name": recipe.name,
        "family": "timm",
        "architecture": recipe.architecture,
        "arguments": recipe.arguments,
        "weights": {
            "file": str(Path(recipe.results) / recipe.name / "encoder.safetensors"),
            "sha256": facts.sha256,
        },
    }
    return _yaml({"encoders": [encoder]})


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).rstrip()


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """Text as it is, on one line and in a table's cell too."""
    text = " ".join(text.split()).replace("|", r"\|")
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _block(text: str, language: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    """Of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
