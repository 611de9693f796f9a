"""Model card and loss curve of a trained encoder.

The card is Markdown: facts, probe scores, the recipe as YAML, and how to name the encoder in a
configuration. It holds nothing of one machine except where the encoder was trained.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure
from pydantic import BaseModel

from rosetta_core.io.atomic import atomic_path
from rosetta_core.runtime.machine import cpu_name
from rosetta_core.training.optimisation import Step
from rosetta_core.training.recipe import DinoSettings, MaeSettings, Recipe

__all__ = ["Facts", "Machine", "model_card", "this_machine", "write_losses"]

SMOOTHED = 50  # steps of the loss curve's moving average, and of the card's last loss
MACHINE_KEYS = {"results", "resources", "device"}  # keys of a recipe that depend on the machine
MAE = "masked autoencoder (MAE; He et al., CVPR 2022)"
DINO = "self-distillation (DINO; Caron et al., ICCV 2021)"
PATCHES = "with a loss of masked patches (after iBOT, Zhou et al., ICLR 2022, and data2vec)"
COLUMNS = [(x, p) for x in ("trained", "untrained", "pixels") for p in ("linear", "neighbours")]
READING = (
    "R² on {tested:,} test images, on which the probes were not fitted{unseen}: 1 for exact "
    "predictions, 0 for predictions as good as the mean, – if labels are unknown or all equal. The "
    "features represent a label well if the trained encoder scores higher than both the untrained "
    "encoder and the images resized to 16×16 pixels."
)


class Machine(NamedTuple):
    """Machine, library versions and date (YYYY-MM-DD, UTC) of a training."""

    processor: str
    torch: str
    timm: str
    date: str


@dataclass(frozen=True)
class Facts:
    """Facts about a trained encoder that are not part of its recipe.

    Attributes:
        parameters: number of parameters of the encoder alone.
        bytes: size of its file.
        sha256: checksum of its file, in hexadecimal.
        images: number of different training images.
        tested: number of images on which the probes were tested.
        machine: machine that trained it.
        shipped: whether it is part of this package, under its name and licence.
    """

    parameters: int
    bytes: int
    sha256: str
    images: int
    tested: int
    machine: Machine
    shipped: bool = False


def this_machine(device: torch.device) -> Machine:
    """Return this machine: its GPU if `device` is one, else its processor."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{cpu_name()}, {torch.get_num_threads()} of {os.cpu_count()} cores"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return Machine(name, version("torch"), version("timm"), today)


def write_losses(steps: Sequence[Step], folder: Path, *, label: str) -> None:
    """Write losses.csv (step, loss, learning_rate, seconds) and the curve losses.png to a folder.

    Args:
        steps: all steps of a training.
        folder: existing folder.
        label: label of the loss axis.
    """
    table = pd.DataFrame(steps)
    table.insert(0, "step", range(1, len(steps) + 1))
    with atomic_path(folder / "losses.csv") as temporary:
        table.to_csv(temporary, index=False)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(table.step, table.loss, color="0.8", linewidth=0.5)
    smooth = table.loss.rolling(SMOOTHED, min_periods=1, center=True).mean()
    axes.plot(table.step, smooth, color="C0", linewidth=1.5)
    axes.set(xlabel="step", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(folder / "losses.png") as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def model_card(recipe: Recipe, facts: Facts, *, losses: pd.DataFrame, probes: pd.DataFrame) -> str:
    """Return the model card of a trained encoder, as Markdown.

    Args:
        recipe: recipe of the training.
        facts: facts that are not part of the recipe.
        losses: one row per step, with columns loss and seconds.
        probes: table of `rosetta_core.training.probes.probe_table`.
    """
    generator = recipe.images.generator
    source = f"samples of {_code(generator.name)}" if generator else "the images of a folder"
    file = f"{recipe.name.replace('_', '-')}.yaml"
    command = f"rosetta train {'configs/train/' if facts.shipped else ''}{file}"
    unseen = " and the encoder was not trained" if generator else ""
    parts = [
        f"# {_code(recipe.name)}",
        f"A self-supervised vision transformer, trained from random weights on {source}: "
        f"{_method(recipe)}. Only the encoder is kept.",
        _table(["", ""], _rows(recipe, facts, losses)),
        "## Probes",
        _probe_table(probes),
        READING.format(tested=facts.tested, unseen=unseen),
        _probe_notes(faces=recipe.probes.faces),
        "## Recipe",
        _block(_recipe_yaml(recipe), "yaml"),
        "Command:" if facts.shipped else f"Command, with the recipe saved as {_code(file)}:",
        _block(command, "sh"),
        "## Use in a configuration",
        _block(_encoder_yaml(recipe, facts), "yaml"),
    ]
    return "\n\n".join(parts) + "\n"


def _method(recipe: Recipe) -> str:
    match recipe.method:
        case DinoSettings(masked=masked):
            return f"{DINO} {PATCHES}" if masked else DINO
        case MaeSettings():
            return MAE
        case _:
            assert_never(recipe.method)


def _rows(recipe: Recipe, facts: Facts, losses: pd.DataFrame) -> list[list[str]]:
    """Return the facts as rows of a table."""
    generator, machine = recipe.images.generator, facts.machine
    source = (
        f"samples of {_code(generator.name)}"
        if generator
        else f"files in {_code(str(recipe.images.folder))}"
    )
    measure = "squared error of masked patches" if recipe.mae else "cross-entropy"
    arguments = json.dumps(recipe.arguments, ensure_ascii=False)
    last, seconds = losses.loss.tail(SMOOTHED), losses.seconds.sum()
    rows = {
        "method": _method(recipe),
        "architecture": f"timm {_code(recipe.architecture)} with {_code(arguments)}",
        "parameters": f"{facts.parameters:,}",
        "file": f"{facts.bytes / 1e6:.2f} MB, float16 safetensors",
        "SHA-256": _code(facts.sha256),
        "images": f"{facts.images:,} different {source}",
        "steps": f"{len(losses):,} of {recipe.batch_size:,} images",
        "loss": f"{measure}: {losses.loss.iloc[0]:.3f} at the first step, "
        f"{last.mean():.3f} over the last {len(last)}",
        "seed": str(recipe.seed),
        "time": f"{seconds:,.0f} seconds",
        "machine": machine.processor,
        "versions": f"torch {machine.torch}, timm {machine.timm}",
        "date": machine.date,
    }
    licence = {"licence": "MIT"} if facts.shipped else {}  # users choose their own
    return [[key, value] for key, value in (rows | licence).items()]


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


def _probe_notes(*, faces: bool) -> str:
    """Return a paragraph on features, probes and labels."""
    landmarks = (
        " Pose, tilt and mouth are computed from the landmarks of MTCNN's O-Net." if faces else ""
    )
    return (
        "Features: patch tokens averaged over each quarter of the image, and the class token if "
        "there is one. Linear: ridge regression. Neighbours: mean of the 20 nearest images by "
        "cosine. Brightness, warmth and side light are weighted sums of pixels, so the pixels "
        f"predict them by definition.{landmarks}"
    )


def _recipe_yaml(recipe: Recipe) -> str:
    """Return the recipe as YAML, without keys that depend on the machine."""
    return _yaml({key: value for key, value in _keys(recipe).items() if key not in MACHINE_KEYS})


def _keys(section: BaseModel) -> dict[str, Any]:
    """Return the keys of a section, except those that are null by default."""
    values = {key: getattr(section, key) for key in type(section).model_fields}
    return {
        key: _keys(value) if isinstance(value, BaseModel) else value
        for key, value in values.items()
        if value is not None or type(section).model_fields[key].default is not None
    }


def _encoder_yaml(recipe: Recipe, facts: Facts) -> str:
    """Return the lines of a configuration that use the encoder."""
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
    """Return text in code font, on one line, safe in a table's cell."""
    text = " ".join(text.split()).replace("|", r"\|")
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _block(text: str, language: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
