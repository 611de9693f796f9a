"""Folders of invented steering jobs, with any names, texts and images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rosetta_core.drawing.contact_sheets import write_curve, write_sheet
from rosetta_core.drawing.video import write_video
from rosetta_core.steering.result_reader import ACTIVITY_AFTER, ACTIVITY_BEFORE, KINDS

ABOUT = {
    "inversion": "seed 3, guided by all encoders",
    "show": "concept 1, from 8 random latents",
    "edit": "shift right by 25% of the side, of seed 3",
    "tuning": "the generator around the inversion of seed 3",
    "evaluation": "16 held-out images of the generator",
}
METHODS = ["none", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet", "all"]
PSNR = [14.251, 15.962, 15.4, 15.1, 16.337]
DISTANCE = [0.512, 0.421, 0.433, 0.45, 0.3991]


def write_job(
    results: Path,
    kind: str,
    images: np.ndarray,
    *,
    name: str | None = None,
    about: str | None = None,
    concept: int | None = None,
    folder: str | None = None,
    activations: Sequence[tuple[float, float]] = ((0.1, 4.2), (-0.3, 3.9), (0.5, 2.25)),
) -> Path:
    """Write the folder of a job; return it.

    Args:
        results: folder of the run.
        kind: kind of the job.
        images: at least four images (n, h, w, 3).
        name: name of the job.
        about: the job in one line.
        concept: concept of an activation maximisation.
        folder: name of the job's folder; None for the name of the job.
        activations: activity before and after of each restart of an activation maximisation.
    """
    name = name or f"made_up_{kind}"
    about = ABOUT[kind] if about is None else about
    into = results / KINDS[kind] / (folder or name)
    into.mkdir(parents=True)
    restarts = len(activations) if kind == "show" else 1
    before, after = images[:restarts], np.roll(images, -1, axis=0)[:restarts]
    arrays = {"before": before, "after": after}
    job: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "about": about,
        "settings": {
            "name": name, "image": {"seed": 3, "file": None}, "steps": 500, "sketch": False,
            "encoders": ["mobilenet_v2", "mtcnn_onet"],
        },
        "concept": concept,
        "methods": [],
        "summary": [["similarity", "0.31 → 0.67"], ["displacement right", "15.8 pixels of 16"]],
    }  # fmt: skip
    metrics = {"similarity before": 0.3125, "similarity after": 0.6712, "PSNR (dB)": 21.5}
    rows = [
        {"item": name, "restart": n, "best": n == 0, "metric": metric, "value": value - n}
        for n in range(2)
        for metric, value in metrics.items()
    ]
    columns, tiles = ["before", "after"], [[before[0], after[0]]]
    if kind == "show":
        rows = [
            {"item": name, "restart": n, "best": n == 0, "metric": metric, "value": value}
            for n, values in enumerate(activations)
            for metric, value in zip((ACTIVITY_BEFORE, ACTIVITY_AFTER), values, strict=True)
        ]
        columns, tiles = [f"{b:.1f} σ" for _, b in activations], [list(before), list(after)]
    elif kind == "evaluation":
        job["methods"] = METHODS
        arrays = {"before": images[:2], "after": np.stack([images[:5], images[1:6]])}
        rows = [
            {"item": f"seed {image}", "method": method, "restart": 0, "best": True,
             "metric": "PSNR (dB)", "value": value + image}
            for image in range(2) for method, value in zip(METHODS, PSNR, strict=True)
        ]  # fmt: skip
        columns, tiles = ["image", *METHODS], [[images[i], *images[i : i + 5]] for i in range(2)]
        table = pd.DataFrame(
            [
                {"method": method, "metric": metric, "mean": mean, "ci_low": mean - 0.05,
                 "ci_high": mean + 0.05, "images": 16}
                for metric, means in (("PSNR (dB)", PSNR), ("features of mtcnn_onet", DISTANCE))
                for method, mean in zip(METHODS, means, strict=True)
            ]
        )  # fmt: skip
        table.to_parquet(into / "table.parquet")
        (into / "table.md").write_text("| method | PSNR |\n|---|---|\n", encoding="utf-8")
    (into / "job.json").write_text(json.dumps(job), encoding="utf-8")
    pd.DataFrame(rows).astype({"restart": np.int32}).to_parquet(into / "metrics.parquet")
    np.savez(into / "images.npz", **arrays)
    Image.fromarray(images[1]).save(into / "result.png")
    names = {"show": ["before", "after"], "evaluation": ["seed 0", "seed 1"]}.get(kind, [""])
    write_sheet(into / "contact_sheet.png", tiles, rows=names, columns=columns)
    if kind not in ("tuning", "evaluation"):
        write_sheet(into / "maps.png", tiles, rows=names, columns=columns, caption=about)
    if kind != "evaluation":
        fall = np.exp(-np.linspace(0, 5, 60))[:, None] * np.linspace(1, 1.4, restarts)
        terms = {"similarity": 0.7 - fall, "regulariser": fall + 0.5, "total": fall - 0.6}
        write_curve(into / "loss_curve.png", terms, best=0, about=about)
        write_video(into / "trajectory.mp4", _blended(before[0], after[0]))
    return into


def _blended(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    shares = np.linspace(0, 1, 24)[:, None, None, None]
    return ((1 - shares) * first + shares * last).round().astype(np.uint8)


def write_one_of_each(results: Path, images: np.ndarray) -> list[Path]:
    """Write a job of every kind, and two activation maximisations, one of them of a concept."""
    return [
        write_job(results, "inversion", images),
        write_job(results, "show", images, concept=1),
        write_job(results, "show", images[3:], name="a_unit", about="dcgan/main.8/101"),
        write_job(results, "edit", images),
        write_job(results, "tuning", images),
        write_job(results, "evaluation", images),
    ]
