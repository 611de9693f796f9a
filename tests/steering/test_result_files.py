"""What is read from the folder of a steering job is what was written, for every file."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rosetta_core.errors import RosettaError
from rosetta_core.io.file_index import check_file_index
from rosetta_core.steering import result_reader as files
from rosetta_core.steering.jobs.evaluation import EvaluationResult
from rosetta_core.steering.jobs.pivotal_tuning import TuningResult
from rosetta_core.steering.optimise.gradient_descent import OptimisationResult
from rosetta_core.steering.optimise.result import JobResult, MapPanel, MetricValue
from rosetta_core.steering.result_reader import (
    JobDescription,
    read_arrays,
    read_description,
    read_images,
    read_latent,
    read_metrics,
    read_table,
)
from rosetta_core.steering.result_writer import write_evaluation, write_result, write_tuning

SETTINGS = {"steps": 7, "seed": 3}
RNG = np.random.default_rng(3)


def pictures(*shape: int) -> np.ndarray:
    return RNG.integers(0, 255, (*shape, 12, 12, 3), dtype=np.uint8)


def result(items: int, **changes: Any) -> JobResult:
    """A result of items with two restarts each, the second of which is the best."""
    rows = 2 * items
    known: dict[str, Any] = {
        "about": "made up",
        "before": pictures(items),
        "after": pictures(items),
        "latents": RNG.normal(size=(rows, 5)).astype(np.float32),
        "best": list(range(1, rows, 2)),
        "metrics": [MetricValue("distance", 0.25, item="a", restart=1, best=False)],
        "summary": [("distance", "0.25")],
        "optimisation": OptimisationResult(
            latents=torch.zeros(rows, 5),
            terms={},
            total=np.linspace(3, 1, 8 * rows, dtype=np.float32).reshape(8, rows),
            frames=pictures(4, rows),
        ),
    }
    return JobResult(**(known | changes))


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def written(folder: Path, found: JobResult, **changes: Any) -> Path:
    into = folder / "inversions" / "made_up"
    into.mkdir(parents=True)
    known = {"name": "made_up", "kind": "inversion", "settings": SETTINGS}
    write_result(into, found, **(known | changes))
    return into


@pytest.mark.parametrize("items", [1, 3])
@pytest.mark.parametrize("target", [True, False])
def test_a_result(tmp_path: Path, items: int, target: bool) -> None:
    panel = MapPanel(pictures(), RNG.normal(size=(4, 4)).astype(np.float32))
    found = result(
        items,
        target=pictures(items) if target else None,
        panels={"a/0": [panel, panel]} if target else {},
        columns=("before", "after"),
    )
    folder = written(tmp_path, found, concept=4)
    names = {"job.json", "images.npz", "latents.npz", "result.png", "metrics.parquet"}
    names |= {"contact_sheet.png", "loss_curve.png", "trajectory.mp4"}
    names |= {"target.png", "maps.png"} if target else set()
    known = {name for name in vars(files).values() if isinstance(name, str)}
    assert names == known & {path.name for path in folder.iterdir()}
    assert read_description(folder) == JobDescription(
        "made_up", "inversion", "made up", SETTINGS, [("distance", "0.25")], 4
    )
    np.testing.assert_array_equal(read_latent(folder), found.latents[1:2])
    arrays = read_arrays(folder / files.LATENTS)
    np.testing.assert_array_equal(arrays["latents"], found.latents)
    assert arrays["best"].tolist() == list(found.best)
    first, last = read_images(folder)
    np.testing.assert_array_equal(
        first, found.before[0] if found.target is None else found.target[0]
    )
    np.testing.assert_array_equal(last, found.after[0])
    np.testing.assert_array_equal(picture(folder / files.RESULT), found.after[0])
    if found.target is not None:
        np.testing.assert_array_equal(picture(folder / files.TARGET), found.target[0])
    arrays = read_arrays(folder / files.IMAGES)
    assert arrays.keys() == {"before", "after"} | ({"target"} if target else set())
    np.testing.assert_array_equal(arrays["before"], found.before)
    pd.testing.assert_frame_equal(read_metrics(folder), found.table)
    check_file_index(folder, cure="run the job again")


def test_contact_sheets_have_a_row_or_a_column_for_each_item(tmp_path: Path) -> None:
    """Three images of one item side by side; of several items a column each, at most eight."""
    sizes = {}
    for items in (1, 2, 8, 9):
        found = result(items, target=pictures(items))
        sizes[items] = picture(written(tmp_path / str(items), found) / "contact_sheet.png").shape
    assert sizes[1][1] > sizes[1][0] > 0
    assert sizes[2][0] > sizes[1][0]  # three rows
    assert sizes[8][1] > sizes[2][1]
    assert sizes[9] == sizes[8]


def test_a_tuning_has_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "tunings" / "t"
    folder.mkdir(parents=True)
    weights = {"main.0.weight": torch.arange(6.0).reshape(2, 3)}
    write_tuning(folder, TuningResult(weights, result(1)), name="t", settings=SETTINGS)
    assert read_description(folder).kind == "tuning"
    loaded = load_file(folder / files.TUNED_WEIGHTS)
    assert loaded.keys() == weights.keys()
    assert torch.equal(loaded["main.0.weight"], weights["main.0.weight"])


def test_an_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "evaluations" / "e"
    folder.mkdir(parents=True)
    metrics = pd.DataFrame(
        {
            "item": ["i", "j"] * 2,
            "method": ["none", "none", "all", "all"],
            "restart": np.int32(0),
            "best": True,
            "metric": "distance",
            "value": [0.5, 0.25, 0.125, 0.75],
        }
    )
    table = pd.DataFrame(
        {
            "method": ["none", "all"],
            "metric": "distance",
            "mean": [0.375, 0.4375],
            "ci_low": [0.25, 0.125],
            "ci_high": [0.5, 0.75],
            "images": 2,
        }
    )
    found = EvaluationResult(
        methods=["none", "all"],
        target=pictures(2),
        before=pictures(2),
        after=pictures(2, 2),
        latents=RNG.normal(size=(2, 2, 5)).astype(np.float32),
        metrics=metrics,
        table=table,
    )
    write_evaluation(folder, found, name="e", settings=SETTINGS)
    about = "2 images inverted, each by 2 methods"
    assert read_description(folder) == JobDescription(
        "e", "evaluation", about, SETTINGS, [], methods=("none", "all")
    )
    pd.testing.assert_frame_equal(read_metrics(folder), metrics)
    pd.testing.assert_frame_equal(read_table(folder), table)
    np.testing.assert_array_equal(read_arrays(folder / files.LATENTS)["latents"], found.latents)
    arrays = read_arrays(folder / files.IMAGES)
    for name in ("before", "after", "target"):
        np.testing.assert_array_equal(arrays[name], getattr(found, name))
    # the result is the first image by the last method
    np.testing.assert_array_equal(picture(folder / files.RESULT), found.after[0, 1])
    text = (folder / files.TABLE_MARKDOWN).read_text()
    assert re.search(r"\| none +\| \*\*0\.375\*\* \[0\.250, 0\.500\]", text)
    assert text.endswith(f"{about}, in 7 steps; means with 95% bootstrap confidence intervals.\n")
    with pytest.raises(RosettaError, match=r"has images of several methods; see .*contact_sheet"):
        read_images(folder)
    check_file_index(folder, cure="run the job again")


def test_damaged_folders_are_said_in_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path, result(1))
    for read, name in (
        (read_metrics, files.METRICS),
        (read_latent, files.LATENTS),
        (read_images, files.IMAGES),
    ):
        (folder / name).write_bytes(b"damaged")
        with pytest.raises(RosettaError, match=rf"{name}: is missing or damaged; run the job"):
            read(folder)
    with pytest.raises(RosettaError, match=rf"{files.TABLE}: is missing"):
        read_table(folder)
    for text in ("", "[]", '{"kind": "another"}', '{"kind": "inversion"}'):
        (folder / files.DESCRIPTION).write_text(text)
        with pytest.raises(RosettaError, match=r"job\.json: does not describe a steering job"):
            read_description(folder)


def test_the_table_has_a_row_for_each_value() -> None:
    found = result(2)
    table = replace(found, metrics=[MetricValue("m", 1.5, "b", 2), MetricValue("m", 2.5)]).table
    assert table.to_dict("list") == {
        "item": ["b", ""],
        "restart": [2, 0],
        "best": [True, True],
        "metric": ["m", "m"],
        "value": [1.5, 2.5],
    }
