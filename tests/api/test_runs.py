"""An opened run returns the content of its files, wherever it is; errors are one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
import zarr
from checkout import ROOT, Checkout

from rosetta_core import RosettaError, Run, open_run
from rosetta_core.mining.significance.tables import PAIR_COLUMNS

NOTEBOOK = ROOT / "docs" / "notebooks" / "3-read-and-score.ipynb"


@pytest.fixture(scope="module")
def run(finished: Checkout) -> Run:
    return open_run(finished.run)


def table(run: Run, *parts: str) -> pd.DataFrame:
    folder = Path(run.config.results, run.config.run, "tables")
    return pd.read_parquet(folder.joinpath(*parts).with_name(parts[-1] + ".parquet"))


def stored(run: Run, model: str, layer: str) -> np.ndarray:
    """All maps of a layer (n, c, h, w), read with nothing but zarr."""
    folder = Path(run.config.results, run.config.run, "activations", model)
    groups = [zarr.open_group(store, mode="r") for store in sorted(folder.glob("*.zarr"))]
    return np.concatenate([group[layer]["maps"][...] for group in groups])


def changed_copy(finished: Checkout, folder: Path, **changes: object) -> Path:
    """A copy of the run in another place, with some keys of its configuration changed."""
    shutil.copytree(finished.run, folder)
    content = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(content | changes))
    return folder


def test_names_and_representation(run: Run) -> None:
    assert run.name == "tiny"
    assert run.pivot == "dcgan"
    assert run.models == [run.pivot, *run.encoders]
    neurons, concepts = table(run, "rosetta")["pivot_unit"].nunique(), len(table(run, "concepts"))
    assert repr(run).count("\n") == 0
    assert f"16 images of dcgan, processed by {', '.join(run.encoders)}" in repr(run)
    assert f"{neurons} Rosetta neurons in {concepts} concepts" in repr(run)


def test_ids_are_unique_and_name_model_layer_and_channel(run: Run) -> None:
    units = run.units()
    assert units["id"].is_unique
    for row in units.itertuples():
        assert row.id == f"{row.model}/{row.layer}/{row.channel}"
    for model in run.models:
        own, plain = run.units(model), table(run, "units", model)
        pd.testing.assert_frame_equal(own[plain.columns.tolist()], plain)
        together = units[units["model"] == model].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, together)
    assert len(units) == sum(len(run.units(model)) for model in run.models)


def test_pairs_equal_the_tables_and_name_both_units(run: Run) -> None:
    number = {
        (model, unit): name
        for model in run.models
        for unit, name in zip(run.units(model)["unit"], run.units(model)["id"], strict=True)
    }
    for model in run.models:
        plain = table(run, "best_buddies", f"{run.pivot}--{model}")
        buddies = run.best_buddies(model)
        pd.testing.assert_frame_equal(buddies[plain.columns.tolist()], plain)
        assert buddies["id"].tolist() == [number[model, unit] for unit in plain["unit"]]
        pivots = [number[run.pivot, unit] for unit in plain["pivot_unit"]]
        assert buddies["pivot_id"].tolist() == pivots

        plain = table(run, "neighbours", f"{run.pivot}--{model}")
        neighbours = run.neighbours(model)
        pd.testing.assert_frame_equal(neighbours[plain.columns.tolist()], plain)
        sides = {"pivot": (run.pivot, model), "encoder": (model, run.pivot)}
        for row in neighbours.itertuples():
            own, other = sides[row.side]
            assert (row.model, row.neighbour_model) == (own, other)
            assert row.id == number[own, row.unit]
            assert row.neighbour_id == number[other, row.neighbour]

        there = set(zip(neighbours["id"], neighbours["neighbour_id"], strict=True))
        pairs = set(zip(buddies["pivot_id"], buddies["id"], strict=True))
        assert pairs == {(a, b) for a, b in there if (b, a) in there and a in pivots}
    own = run.best_buddies(run.pivot)
    pairs = set(zip(own["pivot_id"], own["id"], strict=True))
    assert pairs == {(b, a) for a, b in pairs}


def test_rosetta_neurons_and_concepts(run: Run) -> None:
    plain, rosetta = table(run, "rosetta"), run.rosetta
    pd.testing.assert_frame_equal(rosetta[plain.columns.tolist()], plain)
    ids = run.units().set_index("id")
    for side in ("", "pivot_"):
        named = ids.loc[rosetta[f"{side}id"]]
        for column in ("model", "layer", "channel", "unit"):
            assert rosetta[side + column].tolist() == named[column].tolist()
    assert set(rosetta["pivot_model"]) == {run.pivot}
    concepts = run.concepts
    assert len(concepts) > 0
    for row in concepts.itertuples():
        members = run.concept(row.concept)
        assert members["corr"].tolist() == plain.loc[plain.concept == row.concept, "corr"].tolist()
        assert set(members["pivot_id"]) == set(row.pivot_ids)
        assert set(members["pivot_unit"]) == set(row.pivot_units)


def test_maps_and_images_equal_the_stores(run: Run) -> None:
    for model in run.models:
        units = run.units(model)
        for row in units.groupby("layer", sort=False).sample(2, random_state=0).itertuples():
            expected = stored(run, model, row.layer)[:, row.channel].astype(np.float32)
            maps = run.maps(row.id)
            assert maps.dtype == np.float32
            np.testing.assert_array_equal(maps, expected)
            numbers = [9, 2, 9, 8]
            np.testing.assert_array_equal(run.maps((model, row.unit), numbers), expected[numbers])
            np.testing.assert_array_equal(run.maps(row.id, range(5, 11)), expected[5:11])
            np.testing.assert_array_equal(run.maps(row.id, np.int64(7)), expected[[7]])
            standardised = run.maps(row.id, standardised=True)
            scale = row.std if row.std > 0 else np.inf
            np.testing.assert_allclose(
                standardised, (expected - row.mean) / scale, rtol=1e-5, atol=1e-5
            )
    folder = Path(run.config.results, run.config.run)
    stores = sorted((folder / "samples" / run.pivot).glob("*.zarr"))
    images = np.concatenate([zarr.open_group(store, mode="r")["images"][...] for store in stores])
    np.testing.assert_array_equal(run.images(), images)
    np.testing.assert_array_equal(run.images([12, 0]), images[[12, 0]])
    np.testing.assert_array_equal(run.images(3), images[3:4])
    assert run.images([]).shape == (0, *images.shape[1:])
    for model in run.models:
        store = zarr.open_group(folder / "correlations" / f"{run.pivot}--{model}.zarr", mode="r")
        np.testing.assert_array_equal(run.correlations(model), store["corr"][...])
    store = zarr.open_group(folder / "examples" / "concepts.zarr", mode="r")
    np.testing.assert_array_equal(run.concept_scores, store["score"][...])
    assert run.concept_scores.shape == (len(run.concepts), 16)


def test_a_moved_run_opens_from_anywhere_and_runs_its_network_without_stores(
    run: Run, finished: Checkout, tmp_path: Path, monkeypatch
) -> None:
    folder = changed_copy(
        finished,
        tmp_path / "other" / "results" / "my run (copy)",
        activations={"store": "none"},
        resources="resources",
        significance={"nulls": [], "splits": 0, "intervals": False},
    )
    shutil.rmtree(folder / "activations")
    (tmp_path / "other" / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    moved = open_run("other/results/my run (copy)")
    monkeypatch.chdir(ROOT / "tests")
    assert moved.name == "my run (copy)"
    np.testing.assert_array_equal(moved.images([4]), run.images([4]))
    rosetta = moved.rosetta  # without significance
    assert rosetta[PAIR_COLUMNS].isna().all(axis=None)
    assert run.rosetta[PAIR_COLUMNS].notna().all(axis=None)
    pd.testing.assert_frame_equal(
        rosetta.drop(columns=PAIR_COLUMNS), run.rosetta.drop(columns=PAIR_COLUMNS)
    )
    for model in (run.pivot, run.encoders[-1]):
        unit = run.units(model)["id"].iloc[-1]
        for images in ([11, 3, 4], 3):
            np.testing.assert_array_equal(moved.maps(unit, images), run.maps(unit, images))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.units("mobilenet"), "unknown model 'mobilenet' in run 'tiny'; use one of"),
        (lambda run: run.best_buddies("dcgn"), "(did you mean 'dcgan'?)"),
        (lambda run: run.correlations("dcgn"), "(did you mean 'dcgan'?)"),
        (lambda run: run.maps("dcgn/main.8/0"), "(did you mean 'dcgan'?)"),
        (lambda run: run.maps("dcgan/main8/0"), "layer 'main8' of dcgan was not mined (did you"),
        (lambda run: run.maps("dcgan"), "; use model/layer/channel"),
        (
            lambda run: run.maps("dcgan/main.8/128"),
            "there is no channel '128' in main.8 of dcgan; use 0 to 127",
        ),
        (lambda run: run.maps("dcgan/main.8/+1"), "there is no channel '+1'"),
        (lambda run: run.maps(("dcgan", 192)), "dcgan: there is no unit 192; use 0 to 191"),
        (lambda run: run.maps(("dcgan", -1)), "dcgan: there is no unit -1"),
        (
            lambda run: run.maps("dcgan/main.8/0", 16),
            "run 'tiny': there is no image 16; use 0 to 15",
        ),
        (lambda run: run.images([0, -1]), "run 'tiny': there is no image -1"),
        (lambda run: run.images([True]), "images: bool is not an integer type; use image numbers"),
        (lambda run: run.concept(10_000), "run 'tiny': there is no concept 10000; use 0 to"),
    ],
)
def test_unknown_names_and_numbers_are_refused_in_one_line(run: Run, call, message: str) -> None:
    with pytest.raises(RosettaError) as error:
        call(run)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_run_is_refused_in_one_line(finished: Checkout, tmp_path: Path) -> None:
    with pytest.raises(
        RosettaError,
        match=r"not a finished run \(the folder does not exist\); .*did you mean 'tiny'\?",
    ):
        open_run(finished.run.with_name("tinny"))
    with pytest.raises(
        RosettaError, match=r"not a finished run \(config.yaml is missing\); give a run folder"
    ):
        open_run(tmp_path)
    (tmp_path / "config.yaml").write_text("run: x\n")
    with pytest.raises(RosettaError, match=r"not a finished run \(tables is missing\); give"):
        open_run(tmp_path)
    (tmp_path / "tables").mkdir()
    with pytest.raises(RosettaError, match=r"dcgan.parquet: no readable table; run the stage"):
        open_run(tmp_path)


def test_correlations_that_were_not_kept(finished: Checkout, tmp_path: Path) -> None:
    folder = changed_copy(finished, tmp_path / "kept", correlation={"keep_matrix": False})
    with pytest.raises(
        RosettaError, match=r"^run 'kept': only the 32 highest correlations .*: true$"
    ):
        open_run(folder).correlations("dcgan")


def test_the_package_imports_neither_torch_nor_pandas() -> None:
    script = (
        "import sys, rosetta_core; light = not {'torch', 'pandas'} & set(sys.modules); "
        "rosetta_core.open_run; sys.exit(not light or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_run_opens_where_fcntl_is_missing(finished: Checkout) -> None:
    script = (
        "import sys; sys.modules['fcntl'] = None; import rosetta_core; "
        "run = rosetta_core.open_run(sys.argv[1]); "
        "sys.exit(run.concepts.empty or run.maps((run.pivot, 0), 0).shape[0] != 1)"
    )
    subprocess.run([sys.executable, "-c", script, str(finished.run)], check=True)


def test_the_notebook_runs(finished: Checkout, tmp_path: Path, monkeypatch) -> None:
    matplotlib.use("Agg")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    assert sum(cell.count('RUN = Path("results/faces")') for cell in code) == 1
    code = [cell.replace('"results/faces"', repr(str(finished.run))) for cell in code]
    names: dict[str, object] = {}
    for number, cell in enumerate(code):
        exec(compile(cell, f"cell {number}", "exec"), names)
    plt.close("all")
    assert isinstance(names["rosetta_share"], pd.Series)
    assert names["rosetta_share"].between(0, 1).all()
