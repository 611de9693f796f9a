"""The paper's experiments can be planned offline, and every family goes through a whole run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
import zarr
from checkout import copy_checkout
from conftest import ROOT, Checkout
from small_zoo import ENCODERS, GENERATORS, small_run

from rosetta_core import stages
from rosetta_core.cli import main
from rosetta_core.config import GENERATORS as DRAWING
from rosetta_core.config import Config, load_config, parse_config
from rosetta_core.config.published import PUBLISHED
from rosetta_core.config.steering import Steering
from rosetta_core.errors import RosettaError
from rosetta_core.paths import RunPaths
from rosetta_core.zoo.loading import load_generator

CONFIGS = sorted(ROOT.glob("configs/*.yaml"))
PAPER = [path for path in CONFIGS if not path.stem.startswith(("faces-", "table-"))]
OF_EACH_PIVOT = list({load_config(path).pivot.name: path for path in PAPER}.values())
FIVE = ["resnet50", "dino_resnet50", "dino_vit_b16", "mae_vit_b", "clip_resnet50"]
CLASSES = {"tench": 0, "briard": 226, "church": 497, "goldfish": 1, "espresso": 967}
# every family of generators with one of encoders, and one with all
SEEN_BY = {
    "stylegan2": ["vit"],
    "stylegan2_rosinality": ["clip"],
    "stylegan3_t": list(ENCODERS),
    "stylegan3_r": ["vit"],
    "stylegan_xl": ["clip"],
    "biggan": ["resnet"],
}
SIDES = {4, 8, 16, 32}  # of maps without margins, for images of 32×32
RESOURCES = ROOT / "resources"


def named(path: Path) -> str:
    return path.stem


def of_paper(path: Path) -> Config:
    """The configuration, with what is known of models kept where all tests keep it."""
    return load_config(path).model_copy(update={"resources": str(RESOURCES)})


@pytest.mark.parametrize("path", CONFIGS, ids=named)
def test_a_configuration_is_checked_and_planned_offline(path: Path) -> None:
    config = of_paper(path)
    assert config.run == path.stem
    layers = stages.check(config)
    plan = stages.plan(config)
    units = {name: sum(layer.channels for layer in found) for name, found in layers.items()}
    assert plan.pairs == units[config.pivot.name] * sum(units.values())
    assert all(stage.jobs and stage.seconds >= 0 for stage in plan.stages)


@pytest.mark.parametrize("path", PAPER, ids=named)
def test_an_experiment_is_the_paper_s(path: Path) -> None:
    config = load_config(path)
    assert config.neighbours.k == 5
    assert all(model.name in PUBLISHED for model in config.models)
    encoders = [model.name for model in config.encoders]
    if path.stem == "stylegan3-ffhq":
        assert (config.sampling.images, encoders) == (1000, ["dino_vit_b16"])
        return
    assert (config.sampling.images, encoders) == (1600, FIVE)
    if path.stem.startswith("stylegan-xl-"):
        assert config.pivot.name == "stylegan_xl_imagenet256"
        assert config.sampling.classes == [CLASSES[path.stem.removeprefix("stylegan-xl-")]]
        assert config.sampling.truncation == 0.7


def test_every_class_of_the_paper_has_its_configuration() -> None:
    assert {f"stylegan-xl-{name}" for name in CLASSES} < {path.stem for path in PAPER}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which nothing was run, but where models are known."""
    found = copy_checkout(tmp_path_factory.mktemp("checkout"))
    if (RESOURCES / "layers").is_dir():
        shutil.copytree(RESOURCES / "layers", found.folder / "resources/layers")
    return found


@pytest.mark.parametrize("path", OF_EACH_PIVOT, ids=named)
def test_a_dry_run_plans_fetching_every_file_of_weights(path: Path, checkout: Checkout) -> None:
    checkout.configure(yaml.safe_load(path.read_text()))
    config = load_config(path)
    files = {str(RunPaths(config).weights(model)) for model in config.models}
    planned = set(checkout.planned())
    assert files <= planned
    assert any(output.startswith(f"results/{path.stem}/dictionary") for output in planned)


def read(run: Path, *parts: str) -> pd.DataFrame:
    return pd.read_parquet(run.joinpath("tables", *parts).with_suffix(".parquet"))


def correlations(run: Path, encoder: str) -> np.ndarray:
    store = run / "correlations" / f"{run.name}--{encoder}.zarr"
    return zarr.open_group(store, mode="r")["corr"][...]


def metrics(run: Path, *parts: str) -> Mapping[str, float]:
    table = pd.read_parquet(run.joinpath(*parts, "metrics.parquet"))
    return dict(zip(table["metric"], table["value"], strict=True))


def mined(generator: str, results: Path, **changes: Any) -> Path:
    """Run a small generator; return the folder of the run."""
    seen_by = SEEN_BY[generator]
    content = small_run(generator, seen_by, results=results, resources=RESOURCES, **changes)
    config = parse_config(content)
    stages.mine(config)
    return RunPaths(config).run


def test_every_family_has_its_run() -> None:
    assert set(SEEN_BY) == set(GENERATORS)
    assert {described["family"] for described in GENERATORS.values()} | {"dcgan"} == set(DRAWING)


@pytest.mark.parametrize("generator", SEEN_BY)
def test_a_family_goes_through_a_whole_run(generator: str, tmp_path: Path) -> None:
    run = mined(generator, tmp_path, mining={"store": "none"})
    units = read(run, "units", generator)
    assert set(units["height"]) | set(units["width"]) <= SIDES, "margins were left on"
    assert np.isfinite(units[["mean", "std"]]).all(axis=None)
    assert units["alive"].mean() > 0.9
    for encoder in SEEN_BY[generator]:
        corr, others = correlations(run, encoder), read(run, "units", encoder)
        assert corr.shape == (len(units), len(others))
        alive = corr[np.ix_(units["alive"], others["alive"])]
        assert np.isfinite(alive).all()
        assert 0.1 < np.abs(alive).max() <= 1 + 1e-5
    assert len(read(run, "rosetta")) and len(read(run, "concepts"))
    for job in (("edits", "shifted"), ("inversions", "inverted")):
        found = metrics(run, *job)
        before, after = (
            next(value for name, value in found.items() if name.endswith(when))
            for when in ("before", "after")
        )
        assert after > before, job
    assert (run / "shows/shown/metrics.parquet").is_file()
    assert "random weights" in (run / "dictionary/data/index.js").read_text()
    (page,) = (run / "dictionary/data/images").glob("*.js")
    shard, place = divmod(int(page.stem), 4)
    store = zarr.open_group(run / "samples" / generator / f"{shard:05d}.zarr", mode="r")
    label = int(store["classes"][place])
    assert label in ((3, 7) if generator in ("stylegan_xl", "biggan") else (-1,))
    origin = f'"origin":"class {label}"' if label >= 0 else '"origin":""'
    assert origin in page.read_text()


def test_stores_and_shards_do_not_change_what_is_found(tmp_path: Path) -> None:
    no_jobs = Steering().model_dump(mode="json")
    live = mined("stylegan_xl", tmp_path / "live", mining={"store": "none"}, steering=no_jobs)
    stored = mined("stylegan_xl", tmp_path / "stored", sampling={"shard_size": 8}, steering=no_jobs)
    for encoder in SEEN_BY["stylegan_xl"]:
        pair = correlations(live, encoder), correlations(stored, encoder)
        np.testing.assert_allclose(*pair, atol=1e-5)
    for table in ("units/stylegan_xl", "concepts"):
        pd.testing.assert_frame_equal(read(live, table), read(stored, table), rtol=1e-4, atol=1e-5)
    # units of a neuron that correlate alike may change places, by the processor's rounding
    keys = ["pivot_unit", "model", "unit"]
    rosetta = [read(run, "rosetta").sort_values(keys, ignore_index=True) for run in (live, stored)]
    pd.testing.assert_frame_equal(*rosetta, rtol=1e-4, atol=1e-5)


def test_random_weights_are_called_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.yaml"
    content = small_run("stylegan3_t", list(ENCODERS), results=tmp_path, resources=RESOURCES)
    path.write_text(yaml.safe_dump(content))
    assert main(["check", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    for model in ("stylegan3_t", *ENCODERS):
        assert f"{model}: random weights" in printed


def test_the_full_size_stylegan2_draws_an_image() -> None:
    content = yaml.safe_load((ROOT / "configs/stylegan2-cats.yaml").read_text())
    content["pivot"] = {"zoo": content["pivot"], "weights": "random"}
    content["sampling"]["truncation"] = 1.0  # the mean w stands in no random weights
    generator = load_generator(parse_config(content), None, device=torch.device("cpu"))
    with torch.no_grad():
        image = generator.draw(generator.latents([0]), None)
    assert image.shape == (1, 3, 256, 256)
    assert image.isfinite().all() and image.std() > 0.01


@pytest.mark.parametrize(
    ("generator", "classes", "job", "said"),
    [
        ("biggan", [3], {}, None),
        ("biggan", None, {}, "steering: shown: class_label is missing; biggan draws 10 classes"),
        ("biggan", [3, 4], {}, "steering: shown: class_label is missing"),
        ("biggan", [3], {"class_label": 10}, "class_label: biggan has classes 0 to 9, but 10 was"),
        ("biggan", [12], {}, "sampling.classes: biggan has classes 0 to 9, but 12 was given"),
        ("stylegan2", [0], {}, "sampling.classes: stylegan2 has no classes, but 0 was given"),
        ("stylegan2", None, {"class_label": 0}, "shown: class_label: stylegan2 has no classes"),
    ],
)
def test_classes_are_checked_before_a_run(
    generator: str, classes: list[int] | None, job: dict, said: str | None, tmp_path: Path
) -> None:
    content = small_run(generator, ["resnet"], results=tmp_path, resources=tmp_path / "resources")
    content["sampling"]["classes"] = classes
    content["steering"] = {"show": [{"name": "shown", "concept": 0, **job}]}
    config = parse_config(content)
    if said is None:
        assert stages.check(config)
        return
    with pytest.raises(RosettaError) as error:
        stages.check(config)
    assert said in str(error.value)


FAMILY_OF = {"stylegan-xl": "stylegan_xl", "stylegan2": "stylegan2_rosinality"}
FAMILY_OF |= {"stylegan3": "stylegan3_t", "biggan": "biggan"}
IMAGENET_CLASSES = 1000


def in_small(path: Path, results: Path) -> Config:
    """A configuration with small networks of its families, 8 images, and jobs of two steps."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    stem = next(stem for stem in FAMILY_OF if path.stem.startswith(f"{stem}-"))
    pivot = {"name": content["pivot"], "weights": "random", **GENERATORS[FAMILY_OF[stem]]}
    if stem == "stylegan-xl":
        more = {"c_dim": IMAGENET_CLASSES, "class_embedding_shape": [IMAGENET_CLASSES, 8]}
        pivot["arguments"] = {**pivot["arguments"], **more}
    if stem == "biggan":
        pivot["arguments"] = {**pivot["arguments"], "num_classes": IMAGENET_CLASSES}
    content["pivot"] = pivot
    content["encoders"] = [{"name": "resnet", "weights": "random", **ENCODERS["resnet"]}]
    content["sampling"] |= {"images": 8, "shard_size": 8}
    content["dictionary"] = {"examples": 2, "unit_examples": 1, "image_pages": 1}
    for jobs in content["steering"].values():
        for job in jobs:
            job |= {"steps": 2, "starts": 1}
            if "concept" in job:  # chance finds one, and perhaps no other
                job["concept"] = 0
    return parse_config({**content, "results": str(results), "resources": str(RESOURCES)})


@pytest.mark.parametrize("path", PAPER, ids=named)
def test_a_configuration_goes_through_a_whole_run_of_small_networks(
    path: Path, tmp_path: Path
) -> None:
    config = in_small(path, tmp_path)
    stages.check(config)
    stages.mine(config)
    paths = RunPaths(config)
    assert len(pd.read_parquet(paths.rosetta))
    for job in config.steering.jobs.values():
        assert np.isfinite(pd.read_parquet(paths.job(job) / "metrics.parquet")["value"]).all()
    store = zarr.open_group(paths.samples("00000"), mode="r")
    assert set(store["classes"][...]) == set(config.sampling.classes or [-1])
