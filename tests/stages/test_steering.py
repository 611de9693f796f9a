"""Whole jobs on a mined run: their files, their reproducibility, and the input they refuse."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import CNNS, STEERING, Checkout, tiny
from PIL import Image

from rosetta_core.cli.main import main
from rosetta_core.config import parse_config
from rosetta_core.config.steering import Job
from rosetta_core.io.saved_state import load_state
from rosetta_core.io.tables import write_table
from rosetta_core.stages.steer import RUNNERS
from rosetta_core.stages.steering import inversion as inversion_module
from rosetta_core.stages.steering.execution import steer
from rosetta_core.stages.steering.networks import SteeringNetworks
from rosetta_core.steering.optimise.gradient_descent import FRAMES
from rosetta_core.steering.result_reader import KINDS

JOBS = {
    "astronaut": "inversions",
    "strongest": "shows",
    "tuned": "tunings",
    "shifted": "edits",
    "table": "evaluations",
}
DESCENTS = ["astronaut", "strongest", "tuned", "shifted"]
each_job = pytest.mark.parametrize("job", JOBS)
each_descent = pytest.mark.parametrize("job", DESCENTS)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the workflow runs several jobs on few cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class MinedRun:
    """What jobs read of a mined run, in a folder of its own."""

    def __init__(self, finished: Checkout, folder: Path) -> None:
        self.folder, self.run = folder, folder / "results/tiny"
        for name in ("tables", "inversions", "tunings"):
            shutil.copytree(finished.run / name, self.run / name)

    def configure(self, **steering: Any) -> Path:
        """Write a configuration with these jobs."""
        path = self.folder / "own.yaml"
        content = tiny(results=str(self.folder / "results"), steering=steering)
        path.write_text(yaml.safe_dump(content))
        return path

    def steer(self, job: str, **steering: Any) -> int:
        """Run a job of these; return the exit code."""
        return main(["steer", job, "--config", str(self.configure(**steering))])


@pytest.fixture
def mined(finished: Checkout, tmp_path: Path) -> MinedRun:
    return MinedRun(finished, tmp_path)


def folder_of(finished: Checkout, job: str) -> Path:
    return finished.run / JOBS[job] / job


def metrics_of(folder: Path) -> pd.Series:
    """Of the best start."""
    rows = pd.read_parquet(folder / "metrics.parquet")
    return rows[rows["best"]].set_index("metric")["value"]


def images_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "images.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("job", "files"),
    [
        ("astronaut", ["loss_curve.png", "maps.png", "target.png", "trajectory.mp4"]),
        ("strongest", ["loss_curve.png", "maps.png", "trajectory.mp4"]),
        ("tuned", ["loss_curve.png", "generator.safetensors", "target.png", "trajectory.mp4"]),
        ("shifted", ["loss_curve.png", "maps.png", "trajectory.mp4"]),
        ("table", ["table.md", "table.parquet"]),
    ],
)
def test_a_job_leaves_its_files(finished: Checkout, job: str, files: list[str]) -> None:
    folder = folder_of(finished, job)
    found = {path.name for path in folder.iterdir() if not path.name.startswith(".snakemake")}
    every = [
        "images.npz",
        "job.json",
        "latents.npz",
        "metrics.parquet",
        "result.png",
        "contact_sheet.png",
    ]
    assert found == {*every, "contents.json", *files}
    assert all((folder / name).stat().st_size for name in found)
    assert not [path for path in folder.parent.iterdir() if path.name != job]


@each_job
def test_a_job_says_what_it_is(finished: Checkout, job: str) -> None:
    content = json.loads((folder_of(finished, job) / "job.json").read_text())
    assert list(content) == ["name", "kind", "about", "settings", "summary", "concept", "methods"]
    assert (content["name"], content["kind"]) == (job, JOBS[job].removesuffix("s"))
    assert content["about"] and "\n" not in content["about"]
    config = parse_config(tiny()).steering.job(job)
    assert content["settings"] == config.model_dump(mode="json")
    assert all(len(line) == 2 and all(line) for line in content["summary"])
    assert content["concept"] == (0 if job == "strongest" else None)
    assert bool(content["summary"]) == (job != "table")
    methods = ["perceptual only", *(f"+ {name}" for name in CNNS), "+ all"]
    assert content["methods"] == (methods if job == "table" else [])


@each_job
def test_measures_are_a_table(finished: Checkout, job: str) -> None:
    rows = pd.read_parquet(folder_of(finished, job) / "metrics.parquet")
    method = ["method"] if job == "table" else []
    assert rows.columns.tolist() == ["item", *method, "restart", "best", "metric", "value"]
    assert [str(rows[name].dtype) for name in ("restart", "best", "value")] == [
        "int32", "bool", "float64",
    ]  # fmt: skip
    assert np.isfinite(rows["value"]).all()
    assert not rows.duplicated(["item", *method, "restart", "metric"]).any()
    items = [] if job == "strongest" else ["item"]  # one of all restarts is the best
    assert (rows.groupby([*items, *method, "metric"])["best"].sum() == 1).all()
    assert rows["restart"].nunique() == (2 if job in ("astronaut", "strongest") else 1)


@each_job
def test_images_are_those_of_the_latents(finished: Checkout, job: str) -> None:
    folder, images = folder_of(finished, job), images_of(folder_of(finished, job))
    shape = {"strongest": (2,), "table": (2, 5)}.get(job, (1,))
    assert images["after"].shape == (*shape, 64, 64, 3)
    assert {str(array.dtype) for array in images.values()} == {"uint8"}
    assert images["before"].shape == (*shape[:1], 64, 64, 3)
    assert ("target" in images) == (job in ("astronaut", "tuned", "table"))
    last = images["after"][0, -1] if job == "table" else images["after"][0]
    assert np.array_equal(np.array(Image.open(folder / "result.png")), last)
    if job in ("astronaut", "strongest"):
        with np.load(folder / "latents.npz") as stored:
            assert stored["latents"].shape == (2, 100)
            latents = torch.from_numpy(stored["latents"][stored["best"]])
        generator = SteeringNetworks(
            parse_config(tiny(results=str(finished.folder / "results")))
        ).generator
        drawn, _ = generator.render(latents, space="z", classes=None)
        assert np.abs(drawn.astype(int) - images["after"]).max() <= 1


def test_jobs_go_on_from_each_other(finished: Checkout) -> None:
    inverted, tuned, shifted = (
        images_of(folder_of(finished, job)) for job in ("astronaut", "tuned", "shifted")
    )
    assert np.array_equal(tuned["before"], inverted["after"])
    assert np.array_equal(tuned["target"], inverted["target"])
    assert np.array_equal(shifted["before"], tuned["after"])
    assert not np.array_equal(tuned["after"], tuned["before"])


@each_descent
def test_a_video_shows_the_way(finished: Checkout, job: str) -> None:
    folder = folder_of(finished, job)
    steps = json.loads((folder / "job.json").read_text())["settings"]["steps"]
    with av.open(str(folder / "trajectory.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == min(FRAMES, steps + 1)
    small = np.array(Image.fromarray(shown[-1]).resize((64, 64), Image.Resampling.BOX))
    assert np.abs(small.astype(float) - images_of(folder)["after"][0]).mean() < 8


@each_job
def test_a_job_leaves_the_same_bytes_every_time(
    finished: Checkout, mined: MinedRun, job: str
) -> None:
    first, again = folder_of(finished, job), mined.run / JOBS[job] / job
    shutil.rmtree(again, ignore_errors=True)
    assert mined.steer(job, **STEERING) == 0
    names = {path.name for path in first.iterdir() if not path.name.startswith(".snakemake")}
    assert {path.name for path in again.iterdir()} == names
    weights = "generator.safetensors"
    for name in names - ({weights, "contents.json"} if weights in names else set()):
        assert (again / name).read_bytes() == (first / name).read_bytes(), name


def inversion(name: str = "own", **settings: Any) -> dict[str, Any]:
    image = {"sample": "astronaut", "box": [148, 28, 152]}
    return {"invert": [{"name": name, "image": image, "steps": 1, "restarts": 1, **settings}]}


def test_an_inversion_is_more_similar_than_random_images(mined: MinedRun) -> None:
    jobs = {**inversion(steps=50, restarts=2), "tune": [], "edit": []}
    assert mined.steer("own", **jobs) == 0
    found = metrics_of(mined.run / "inversions/own")
    assert found["similarity after"] > 2 * found["similarity of random images"]
    assert found["similarity after"] > found["similarity before"] + 0.1


def test_an_inversion_by_pixels_alone_measures_its_maps(mined: MinedRun) -> None:
    jobs = {**inversion(activation_weight=0.0, pixel_weight=1.0, steps=5), "tune": [], "edit": []}
    assert mined.steer("own", **jobs) == 0
    found = metrics_of(mined.run / "inversions/own")
    assert found["similarity after"] != found["similarity before"]
    curve = {"similarity before", "similarity after", "similarity of random images", "PSNR (dB)"}
    assert curve < set(found.index)


def test_a_unit_is_shown_with_its_concept(mined: MinedRun) -> None:
    rosetta = pd.read_parquet(mined.run / "tables/rosetta.parquet")
    units = pd.read_parquet(mined.run / "tables/units/dcgan.parquet").query("alive")
    one = rosetta.iloc[-1]
    inside = units.set_index("unit").loc[one["pivot_unit"]]
    outside = units[~units["unit"].isin(rosetta["pivot_unit"])].iloc[0]
    for unit, concept in ((inside, int(one["concept"])), (outside, None)):
        name = f"{unit['layer']}/{unit['channel']}"
        shows = [{"name": "own", "unit": name, "steps": 10, "restarts": 2, "target_std": 1000.0}]
        assert mined.steer("own", **{**STEERING, "show": shows}) == 0
        content = json.loads((mined.run / "shows/own/job.json").read_text())
        assert content["concept"] == concept
        assert f"dcgan/{name}" in content["about"]
        rows = pd.read_parquet(mined.run / "shows/own/metrics.parquet").set_index("metric")["value"]
        before, after = (
            rows[f"activity {at} (std of random images)"] for at in ("before", "after")
        )
        assert (after.to_numpy() > before.to_numpy()).all()


def test_a_function_of_ones_own_edits_an_inversion(mined: MinedRun) -> None:
    file = mined.folder / "own.py"
    file.write_text("def mirrored(maps, layer, channels):\n    return maps[:, :, ::-1]\n")
    job = {
        "name": "own", "source_job": "astronaut", "kind": "custom", "function": f"{file}:mirrored",
        "steps": 30,
    }  # fmt: skip
    assert mined.steer("own", **{**STEERING, "edit": [job]}) == 0
    folder = mined.run / "edits/own"
    images = images_of(folder)
    assert np.array_equal(images["before"], images_of(mined.run / "inversions/astronaut")["after"])
    found = metrics_of(folder)
    after = found["similarity to the edited maps after"]
    assert after > found["similarity to the edited maps before"] + 0.05


def test_a_concept_is_removed_inside_a_mask(mined: MinedRun) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save(mined.folder / "mask.png")
    job = {
        "name": "own", "source_seed": 3, "kind": "remove", "concept": 0, "steps": 10,
        "mask": str(mined.folder / "mask.png"),
    }  # fmt: skip
    assert mined.steer("own", **{**STEERING, "edit": [job]}) == 0
    assert metrics_of(mined.run / "edits/own")["relative change of the selected units"] < 0
    about = json.loads((mined.run / "edits/own/job.json").read_text())["about"]
    assert about == "removed concept 0 inside a mask, of seed 3"


def edit(**settings: Any) -> dict[str, Any]:
    return {"edit": [{"name": "own", "source_seed": 0, "kind": "zoom", "steps": 2, **settings}]}


def show(**settings: Any) -> dict[str, Any]:
    return {"show": [{"name": "own", "steps": 2, "restarts": 1, **settings}]}


REMOVE = {"kind": "remove", "concept": 0}
REFUSED = [
    (inversion(image={"file": "bad.png"}), "bad.png: not an image that Pillow reads; use a PNG"),
    (inversion(image={"file": "no.png"}), "no.png: cannot be read: No such file or directory"),
    (
        inversion(image={"seed": 1, "box": [0, 0, 65]}),
        "box [0, 0, 65] (left, top, side): exceeds the image, which is 64 pixels wide and 64",
    ),
    (
        inversion(encoders=["mtcnn_onet"]),
        "mtcnn_onet: the run has no Rosetta neurons with it to guide an inversion; raise neighbo",
    ),
    (inversion(space="w"), "space: the generator has no latent space 'w'; it has z"),
    (inversion(class_label=3), "dcgan has no classes, but class_label is 3"),
    (inversion(learning_rate=1e30, steps=3), "own: the loss of latent 0 is not finite after 1 "),
    (show(unit="main.9/3"), "unit 'main.9/3' of dcgan: no layer 'main.9' was mined (did you mean"),
    (
        show(unit="main.8/128"),
        "no channel '128' in main.8, which has 0 to 127; write layer/channel",
    ),
    (show(concept=9999), "no concept 9999 in run 'tiny'; they are 0 to "),
    (show(concept="main.8/9999"), "run 'tiny': there is no concept 'main.8/9999'"),
    (
        edit(**REMOVE, mask="small.png"),
        "mask small.png: has 8×9 pixels, but the generator's images",
    ),
    (
        edit(kind="custom", function="own.py:f"),
        "custom function, at layer 'main.8': KeyError: 'no'",
    ),
    (edit(kind="custom", function="own.py:g"), "own.py has no function 'g'"),
    (
        {**inversion("new"), **edit(source_seed=None, source_job="new")},
        "inversions/new: is missing; run that job first",
    ),
    ({}, "no job 'own' in steering; they are astronaut, strongest, tuned, shifted, table"),
]


@pytest.mark.parametrize(("jobs", "said"), REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing(
    mined: MinedRun, monkeypatch: pytest.MonkeyPatch, capsys, jobs: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(mined.folder)
    Path("bad.png").write_bytes(b"no image")
    Image.new("L", (8, 9), "white").save("small.png")
    Path("own.py").write_text("def f(maps, layer, channels):\n    return {}['no']\n")
    table = mined.run / "tables/rosetta.parquet"
    if "mtcnn" in said:
        rows = pd.read_parquet(table)
        write_table(rows[rows["model"] != "mtcnn_onet"], table)
    before = set(mined.run.rglob("*"))
    only = {"tune": [], "edit": []} if "invert" in jobs else {}
    assert mined.steer("own", **{**STEERING, **only, **jobs}) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "rosetta: " in line]
    assert len(lines) == 1
    assert said in lines[0]
    new = [path for path in mined.run.rglob("*") if path not in before]
    left = [path for path in new if path.is_file() and path.name != ".jobs.lock"]
    assert not left and not list(mined.run.glob("*/*own*"))


def test_a_run_that_was_not_mined_is_one_line(mined: MinedRun, capsys) -> None:
    shutil.rmtree(mined.run / "tables")
    assert mined.steer("strongest", **STEERING) == 2
    assert "no readable table; run the stage that writes it" in capsys.readouterr().err
    assert not (mined.run / "shows/strongest").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"garbage"])
def test_an_inversion_that_was_cut_off_is_one_line(mined: MinedRun, content: bytes, capsys) -> None:
    (mined.run / "inversions/astronaut/latents.npz").write_bytes(content)
    jobs = edit(source_seed=None, source_job="astronaut")
    assert mined.steer("own", **{**STEERING, **jobs}) == 2
    assert f"astronaut/latents.npz: has {len(content)} bytes, not" in capsys.readouterr().err


# the command itself, which saves as often as it can
OFTEN = """
import sys
from dataclasses import dataclass
from rosetta_core.cli.main import main
from rosetta_core.steering.optimise import gradient_descent
@dataclass(frozen=True)
class Often(gradient_descent.Checkpoint):
    seconds: float = 0
gradient_descent.Checkpoint = Often
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.whole_run
def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(mined: MinedRun) -> None:
    jobs = {**STEERING, **show(concept=0, steps=100)}
    folder, checkpoint = mined.run / "shows/own", mined.run / "shows/.own.checkpoint"
    command = [sys.executable, "-c", OFTEN, "steer", "own", "--threads", "1", "--config"]
    killed = subprocess.Popen([*command, str(mined.configure(**jobs))], stderr=subprocess.DEVNULL)
    while killed.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not folder.exists()
    reached = load_state(checkpoint)["step"]
    assert 0 < reached < 100
    assert mined.steer("own", **jobs) == 0
    assert [path.name for path in folder.parent.iterdir()] == ["own"]
    went_on = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    assert mined.steer("own", **jobs) == 0
    assert went_on == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_thread_computes_whatever_the_process_has(
    finished: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums in another order would lead to other latents."""
    config = parse_config(tiny(results=str(tmp_path), steering=STEERING))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    calls: list[object] = []
    monkeypatch.setattr(torch, "set_num_threads", calls.append)
    monkeypatch.setattr(inversion_module, "run", lambda *given: calls.append(given[2].is_dir()))
    steer(config, job="astronaut")
    assert calls == [1, True, 3]


def test_every_kind_of_job_has_a_module_and_a_folder() -> None:
    assert set(RUNNERS) == set(get_args(Job))
    assert {job.job_kind: job.folder for job in get_args(Job)} == KINDS
