"""Sweeps over images, K and encoders, compared with runs of each combination."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Checkout, tiny
from PIL import Image

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.match_sets import image_counts, read_match_set
from rosetta_core.runs.paths import RunPaths

IMAGES, KS = [8, 16], [2, 5]


@pytest.fixture(scope="module")
def swept(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Config:
    run = tmp_path_factory.mktemp("swept") / "results" / "tiny"
    shutil.copytree(finished.run, run, symlinks=True)
    config = parse_config(tiny(results=str(run.parent)))
    for model in config.models:
        stages.sweep.run(config, model=model.name, images=IMAGES, largest_k=max(KS))
    stages.sweep_curves.run(config, images=IMAGES, k=KS)
    return config


@pytest.fixture
def table(swept: Config) -> pd.DataFrame:
    return pd.read_parquet(RunPaths(swept).sweep_table)


def test_all_images_give_what_the_run_has(swept: Config, table: pd.DataFrame) -> None:
    paths = RunPaths(swept)
    assert swept.neighbours.k == 5
    row = table.set_index(["images", "k", "encoders"]).loc[(16, 5, len(swept.encoders))]
    rosetta = pd.read_parquet(paths.rosetta)
    assert row["neurons"] == rosetta["pivot_unit"].nunique()
    assert row["concepts"] == rosetta["concept"].nunique()
    buddies = [len(pd.read_parquet(paths.best_buddies(e.name))) for e in swept.encoders]
    assert row["best_buddies"] == sum(buddies)
    counts = pd.read_parquet(paths.split_half).groupby("level")["agreement"].mean()
    for key, what in (("neurons", "Rosetta neurons"), ("best_buddies", "best buddies")):
        assert row[f"{key}_agreement"] == pytest.approx(counts[what], abs=1e-6)


def test_half_of_the_images_are_the_first_half_of_the_run(swept: Config, table) -> None:
    counts = pd.read_parquet(RunPaths(swept).split_half).set_index("level")
    row = table.set_index(["images", "k", "encoders"]).loc[(8, 5, len(swept.encoders))]
    first = read_match_set(swept, RunPaths(swept).correlations, k=5, subset=0)
    second = read_match_set(swept, RunPaths(swept).correlations, k=5, subset=1)
    assert row["neurons"] == len(first.concept_of)
    mean = (len(first.concept_of) + len(second.concept_of)) / 2
    assert counts.loc["Rosetta neurons", "n_half"] == mean


def test_more_neighbours_give_more_and_more_encoders_give_less(table: pd.DataFrame) -> None:
    assert len(table) == 2 * 2 * 3
    for _, rows in table.groupby(["images", "encoders"]):
        assert rows.sort_values("k")["neurons"].is_monotonic_increasing
    for _, rows in table.groupby(["images", "k"]):
        assert rows.sort_values("encoders")["neurons"].is_monotonic_decreasing
        assert rows.sort_values("encoders")["best_buddies"].is_monotonic_increasing
    for column in ("best_buddies_agreement", "neurons_agreement"):
        assert table[column].between(0, 1).all()


def test_the_curves_are_drawn(swept: Config) -> None:
    pdf, png = RunPaths(swept).sweep_curves
    assert pdf.read_bytes().startswith(b"%PDF")
    with Image.open(png) as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(2**24)) > 50


@pytest.mark.whole_run
def test_snakemake_makes_it_of_stored_maps_when_asked(rerun: Checkout) -> None:
    planned = rerun.planned("sweep_curves")
    made = {Path(path).parts[2] for path in planned}
    assert made == {"sweep", "tables", "figures"}
    assert len([path for path in planned if "/sweep/" in path]) == 4
    assert rerun.planned() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"images": [8, 17]}, r"--images: 17 is not from 4 to sampling.images \(16\)"),
        ({"images": [2]}, "--images: 2 is not from 4"),
        ({"k": [0, 1]}, "--k: 0 is not from 1 to 20"),
        ({"k": [21]}, "--k: 21 is not from 1 to 20"),
    ],
)
def test_what_cannot_be_swept(swept: Config, options: dict, error: str) -> None:
    with pytest.raises(RosettaError, match=error):
        stages.sweep_curves.run(swept, **options)


def test_a_sweep_doubles_the_images_from_64_on() -> None:
    for images, counts in ((50, [50]), (64, [64]), (300, [64, 128, 256, 300])):
        assert image_counts(parse_config(tiny(sampling={"images": images}))) == counts
