"""However a run is mined, it finds the same, and only what changed is made again.

Up to swaps among correlations closer than 1e-6, in halves 1e-5 (`near_ties`).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from conftest import HALVES_ONLY, NO_JOBS, STEERING, Checkout, tiny
from near_ties import assert_same_run
from planned_outputs import PAIRS, edit, outputs

from rosetta_core import stages
from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.finished.location import run_config
from rosetta_core.runs.paths import RunPaths


def assert_same(mine: Checkout, theirs: Checkout) -> None:
    assert_same_run(run_config(mine.run), run_config(theirs.run))


def neurons(checkout: Checkout) -> set[tuple[int, str, int]]:
    """The pairs of all Rosetta neurons."""
    table = read_table(RunPaths(run_config(checkout.run)).rosetta)
    return set(table[["pivot_unit", "model", "unit"]].itertuples(index=False, name=None))


def pictures(checkout: Checkout) -> list[bytes]:
    """What the pages show, but for steering."""
    folder = checkout.run / "dictionary/pictures"
    files = [
        path for path in folder.rglob("*") if path.is_file() and "maximisations" not in path.parts
    ]
    return sorted(path.read_bytes() for path in files)


def without_nulls(paths: list[str]) -> list[str]:
    """Those that are made where maps are not stored: nothing that looks at them once more."""
    left_out = ("pair_statistics", "null_")
    return [path for path in paths if not any(f"/significance/{name}" in path for name in left_out)]


def test_without_stores(finished: Checkout, rerun: Checkout) -> None:
    shutil.rmtree(rerun.run / "activations")
    rerun.configure(tiny(activations={"store": "none"}))
    everything = without_nulls(outputs(corr=PAIRS, units=PAIRS, neighbours=PAIRS, examples=PAIRS))
    assert rerun.planned() == everything
    rerun.configure(tiny(activations={"store": "none"}, steering=NO_JOBS))
    rerun.snakemake("--cores", "2")
    assert not (rerun.run / "activations").exists()
    assert_same(rerun, finished)
    if neurons(rerun) == neurons(finished):  # no near-tie has changed places
        assert pictures(rerun) == pictures(finished)
    assert rerun.planned() == []
    rerun.configure(tiny(activations={"store": "none"}, neighbours={"k": 3}))
    assert rerun.planned() == without_nulls(outputs(neighbours=PAIRS))
    encoders = tiny()["encoders"]
    encoders[2] = {**encoders[2], "layers": ["prelu*"]}
    rerun.configure(tiny(activations={"store": "none"}, encoders=encoders, steering=STEERING))
    assert rerun.planned() == everything


def raise_a_correlation(table: pd.DataFrame) -> pd.DataFrame:
    changed = table.copy()
    changed.loc[7, "corr"] += np.float32(3e-6)
    return changed


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("neighbours/dcgan--mobilenet_v2", raise_a_correlation),
        ("neighbours/dcgan--dcgan", lambda table: table.drop(index=len(table) - 1)),
        ("best_buddies/dcgan--mtcnn_onet", lambda table: table.drop(index=0)),
        ("rosetta", lambda table: table.assign(concept=table["concept"].to_numpy()[::-1])),
        ("concepts", lambda table: table.assign(size=table["size"] + np.int32(1))),
        ("significance/split_half", lambda table: table.assign(n_half=table["n_half"] + 1.5)),
        ("layers", lambda table: table.assign(matched=table["matched"] + np.int32(1))),
        (
            "vargha_delaney",
            lambda table: table.assign(vargha_delaney_a=table["vargha_delaney_a"] + 1e-4),
        ),
        ("selectivity", lambda table: table.assign(sparsity=table["sparsity"] * np.float32(0.99))),
        ("units/dcgan", lambda table: table.assign(alive=~table["alive"])),
    ],
)
def test_a_table_that_differs_is_noticed(
    finished: Checkout, tmp_path: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    other = Checkout(tmp_path)
    for part in ("tables", "correlations", "config.yaml"):
        source, copy = finished.run / part, other.run / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    assert_same(other, finished)
    path = other.run / "tables" / f"{name}.parquet"
    write_table(change(read_table(path)), path)
    with pytest.raises(AssertionError):
        assert_same(other, finished)


@pytest.mark.parametrize("side", ["pivot", "encoder"])
def test_a_half_that_differs_is_noticed(finished: Checkout, rerun: Checkout, side: str) -> None:
    assert_same(rerun, finished)
    store = zarr.open_group(rerun.run / "correlations/dcgan--mobilenet_v2.zarr", mode="r+")
    corr = store[f"subsets/1/{side}/corr"]
    corr[...] = corr[...] - np.float32(3e-5)
    with pytest.raises(AssertionError):
        assert_same(rerun, finished)


def test_untrained_encoders_are_a_null_without_stores_too(rerun: Checkout) -> None:
    shutil.rmtree(rerun.run / "activations")
    rerun.configure(tiny(activations={"store": "none"}, significance={"nulls": ["untrained"]}))
    planned = rerun.planned()
    for model in PAIRS[1:]:
        assert (
            f"results/tiny/tables/significance/null_matches/untrained/dcgan--{model}.parquet"
            in planned
        )


def test_in_blocks_and_without_the_matrix(finished: Checkout, rerun: Checkout) -> None:
    changes = {"blocks": 2, "keep_matrix": False}
    rerun.configure(tiny(correlation=changes, steering=NO_JOBS, significance=HALVES_ONLY))
    rerun.snakemake("--cores", "2")
    assert_same(rerun, finished)
    store = rerun.run / "correlations/dcgan--mtcnn_onet.zarr"
    group = zarr.open_group(store, mode="r")
    assert "corr" not in group
    assert group["encoder/neighbour"].shape == (96, 32)
    assert not list((rerun.run / "correlations").glob("blocks/*/*.zarr"))
    assert rerun.planned() == []
    rerun.configure(tiny(correlation=changes, neighbours={"k": 32}))
    assert rerun.planned() == outputs(neighbours=PAIRS)  # 32 partners were kept
    rerun.configure(tiny(correlation=changes, neighbours={"k": 33}))
    corr = [path for path in rerun.planned() if "correlations/dcgan" in path]
    assert corr == sorted(f"results/tiny/correlations/dcgan--{model}.zarr" for model in PAIRS)


def test_all_models_in_one_job(finished: Checkout, rerun: Checkout) -> None:
    edit(rerun, "stages/correlations.py", "ONE_PASS = 2**36", "ONE_PASS = 2**10")
    rerun.configure(tiny(steering=NO_JOBS, significance=HALVES_ONLY))
    rerun.snakemake("--cores", "2", "--forcerun", *[
        f"results/tiny/correlations/dcgan--{model}.zarr" for model in PAIRS
    ])  # fmt: skip
    assert len(list((rerun.run / "logs/correlations").glob("dcgan.*mtcnn_onet.log"))) == 1
    assert_same(rerun, finished)
    assert rerun.planned() == []


def test_a_matrix_that_is_not_kept_has_only_so_many_partners(rerun: Checkout) -> None:
    config = parse_config(
        tiny(results=str(rerun.folder / "results"), correlation={"keep_matrix": False})
    )
    stages.correlations.run(config, models=["dcgan", "mtcnn_onet"])
    more = config.model_copy(update={"neighbours": config.neighbours.model_copy(update={"k": 40})})
    with pytest.raises(RosettaError, match="holds 32 neighbours per unit, fewer than K = 40"):
        stages.neighbours.run(more, model="mtcnn_onet")
    for block in (-1, 1):
        with pytest.raises(RosettaError, match=f"there is no block {block}; give one from 0 to 0"):
            stages.correlations.run(config, models=["dcgan"], block=block)
