"""However a run is mined, its tables are the same, and only what changed is made again."""

import shutil

import pandas as pd
import pytest
import zarr
from conftest import HALVES_ONLY, NO_JOBS, STEERING, Checkout, tiny
from test_rerun import PAIRS, outputs

from rosetta_core import stages
from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError

TABLES = [
    "rosetta",
    "concepts",
    "selectivity",
    "layers",
    "vargha_delaney",
    "significance/split_half",
    *(f"{table}/dcgan--{model}" for table in ("neighbours", "best_buddies") for model in PAIRS),
    *(f"units/{model}" for model in PAIRS),
]


def assert_same_tables(mine: Checkout, theirs: Checkout) -> None:
    for name in TABLES:
        found, expected = (
            pd.read_parquet(checkout.run / "tables" / f"{name}.parquet")
            for checkout in (mine, theirs)
        )
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)


def without_nulls(paths: list[str]) -> list[str]:
    """Those that are made where maps are not stored: nothing that looks at them once more."""
    left_out = ("pair_statistics", "null_")
    return [path for path in paths if not any(f"/significance/{name}" in path for name in left_out)]


def test_without_stores(finished: Checkout, rerun: Checkout) -> None:
    shutil.rmtree(rerun.run / "activations")
    rerun.configure(tiny(mining={"store": "none"}))
    everything = without_nulls(outputs(corr=PAIRS, units=PAIRS, neighbours=PAIRS, examples=PAIRS))
    assert rerun.planned() == everything
    rerun.configure(tiny(mining={"store": "none"}, steering=NO_JOBS))
    rerun.snakemake("--cores", "2")
    assert not (rerun.run / "activations").exists()
    assert_same_tables(rerun, finished)
    pictures = [
        sorted(
            path.read_bytes()
            for path in (checkout.run / "dictionary/pictures").rglob("*")
            if path.is_file() and "shows" not in path.parts
        )
        for checkout in (rerun, finished)
    ]
    assert pictures[0] == pictures[1]
    assert rerun.planned() == []
    rerun.configure(tiny(mining={"store": "none"}, neighbours={"k": 3}))
    assert rerun.planned() == without_nulls(outputs(neighbours=PAIRS))
    encoders = tiny()["encoders"]
    encoders[2] = {**encoders[2], "layers": ["prelu*"]}
    rerun.configure(tiny(mining={"store": "none"}, encoders=encoders, steering=STEERING))
    assert rerun.planned() == everything


def test_untrained_encoders_are_a_null_without_stores_too(rerun: Checkout) -> None:
    shutil.rmtree(rerun.run / "activations")
    rerun.configure(tiny(mining={"store": "none"}, significance={"nulls": ["untrained"]}))
    planned = rerun.planned()
    for model in PAIRS[1:]:
        assert f"results/tiny/tables/significance/untrained/dcgan--{model}.parquet" in planned


def test_in_blocks_and_without_the_matrix(finished: Checkout, rerun: Checkout) -> None:
    changes = {"blocks": 2, "keep_matrix": False}
    rerun.configure(tiny(correlation=changes, steering=NO_JOBS, significance=HALVES_ONLY))
    rerun.snakemake("--cores", "2")
    assert_same_tables(rerun, finished)
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
    rerun.configure(
        tiny(correlation={"together": True}, steering=NO_JOBS, significance=HALVES_ONLY)
    )
    rerun.snakemake("--cores", "2", "--forcerun", *[
        f"results/tiny/correlations/dcgan--{model}.zarr" for model in PAIRS
    ])  # fmt: skip
    assert len(list((rerun.run / "logs/correlations").glob("dcgan.*mtcnn_onet.log"))) == 1
    assert_same_tables(rerun, finished)
    assert rerun.planned() == []


def test_a_matrix_that_is_not_kept_has_only_so_many_partners(rerun: Checkout) -> None:
    config = parse_config(
        tiny(results=str(rerun.folder / "results"), correlation={"keep_matrix": False})
    )
    stages.correlations.run(config, models=["dcgan", "mtcnn_onet"])
    more = config.model_copy(update={"neighbours": config.neighbours.model_copy(update={"k": 40})})
    with pytest.raises(RosettaError, match="keeps 32 partners of a unit, fewer than K = 40"):
        stages.neighbours.run(more, model="mtcnn_onet")
    for block in (-1, 1):
        with pytest.raises(RosettaError, match=f"no block {block}; they are 0 to 0"):
            stages.correlations.run(config, models=["dcgan"], block=block)
