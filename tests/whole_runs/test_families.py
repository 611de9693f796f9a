"""Every family of generators, and each of the paper's configurations, goes through a whole run.

Small networks with random weights, 8 to 16 images: `make test-runs`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
import zarr
from conftest import PAPER, ROOT
from near_ties import assert_same_mining
from small_zoo import ENCODERS, GENERATORS, small_run

from rosetta_core.config import Config, parse_config
from rosetta_core.config.steering import Steering
from rosetta_core.runs.finished.location import run_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.mine import mine
from rosetta_core.zoo.registry import GENERATORS as DRAWING

RESOURCES = ROOT / "resources"
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
FAMILY_OF = {"stylegan-xl": "stylegan_xl", "stylegan2": "stylegan2_rosinality"}
FAMILY_OF |= {"stylegan3": "stylegan3_t", "biggan": "biggan"}
IMAGENET_CLASSES = 1000


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
    mine(config)
    return RunPaths(config).run


def test_every_family_has_its_run() -> None:
    assert set(SEEN_BY) == set(GENERATORS)
    assert {described["family"] for described in GENERATORS.values()} | {"dcgan"} == set(DRAWING)


@pytest.mark.parametrize("generator", SEEN_BY)
def test_a_family_goes_through_a_whole_run(generator: str, tmp_path: Path) -> None:
    run = mined(generator, tmp_path, activations={"store": "none"})
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
    pages = sorted((run / "dictionary/data/images").glob("*.js"))
    assert [int(page.stem) for page in pages] == list(range(8))
    for page in pages:
        shard, place = divmod(int(page.stem), 4)
        store = zarr.open_group(run / "samples" / generator / f"{shard:05d}.zarr", mode="r")
        label = int(store["classes"][place])
        assert label in ((3, 7) if generator in ("stylegan_xl", "biggan") else (-1,))
        origin = f'"origin":"class {label}"' if label >= 0 else '"origin":""'
        assert origin in page.read_text()


def test_stores_and_shards_do_not_change_what_is_found(tmp_path: Path) -> None:
    no_jobs = Steering().model_dump(mode="json")
    live = mined("stylegan_xl", tmp_path / "live", activations={"store": "none"}, steering=no_jobs)
    stored = mined("stylegan_xl", tmp_path / "stored", sampling={"shard_size": 8}, steering=no_jobs)
    assert_same_mining(run_config(live), run_config(stored))


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
    content["dictionary"] = {"examples": 2, "unit_examples": 1}
    for jobs in content["steering"].values():
        for job in jobs:
            job |= {"steps": 2, "restarts": 1}
            if "concept" in job:  # chance finds one, and perhaps no other
                job["concept"] = 0
    return parse_config({**content, "results": str(results), "resources": str(RESOURCES)})


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_configuration_goes_through_a_whole_run_of_small_networks(
    path: Path, tmp_path: Path
) -> None:
    config = in_small(path, tmp_path)
    check_config(config)
    mine(config)
    paths = RunPaths(config)
    assert len(pd.read_parquet(paths.rosetta))
    for job in config.steering.jobs.values():
        assert np.isfinite(pd.read_parquet(paths.job(job) / "metrics.parquet")["value"]).all()
    store = zarr.open_group(paths.samples("00000"), mode="r")
    assert set(store["classes"][...]) == set(config.sampling.classes or [-1])
