"""Saved results of mining in memory are read as runs of the workflow, and left whole."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from toy_networks import small

import rosetta_core as rosetta
from rosetta_core import RosettaError
from rosetta_core.cli.main import main
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.finished.location import run_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.verify import verify_run

GREY = {"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
TABLES = ("rosetta", "concepts", "layers", "vargha_delaney")
RANDOM = {
    "name": "named",
    "family": "timm",
    "architecture": "test_resnet",
    "weights": {"random": 3},
    "layers": ["layer1", "layer2"],
    "input": GREY,
}


class Painter(nn.Module):
    """A generator of images of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(4, 8 * 4 * 4)
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.ReLU())
        self.out = nn.Sequential(nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh())

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.out(self.up(self.start(latents).view(-1, 8, 4, 4)))


@pytest.fixture(scope="module")
def pictures() -> rosetta.ImageSet:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((20, 3, 5, 5)))
    smooth = nn.functional.interpolate(coarse, size=(24, 24), mode="bicubic").clamp(0, 1)
    pixels = (smooth.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    return replace(rosetta.images(pixels), names=tuple(f"photo {i}.png" for i in range(20)))


@pytest.fixture(scope="module")
def mined(pictures: rosetta.ImageSet) -> rosetta.Mined:
    """A pivot and an encoder given as modules, and one loaded by its configuration."""
    named = rosetta.load_model(RANDOM, device="cpu")
    return rosetta.mine(small(0), [small(1), named], pictures, k=2)


@pytest.fixture(scope="module")
def saved(mined: rosetta.Mined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "mine"
    folder.mkdir()  # an empty folder is filled
    return mined.save(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".job.lock", ".run.lock")
    }


def test_it_opens_as_a_run_with_the_same_tables(mined: rosetta.Mined, saved: Path) -> None:
    run = rosetta.open_run(saved)
    assert (run.name, run.models) == ("mine", mined.models)
    for name in run.models:
        pd.testing.assert_frame_equal(run.units(name), mined.units(name))
        pd.testing.assert_frame_equal(run.neighbours(name), mined.neighbours(name))
        pd.testing.assert_frame_equal(run.best_buddies(name), mined.best_buddies(name))
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(run, name), getattr(mined, name))
    assert (run.images() == mined.images()).all()
    assert (run.concept_scores == mined.concept_scores).all()
    pd.testing.assert_frame_equal(run.image_table, mined.image_table)
    assert repr(run).replace("Run 'mine'", "Mined 'mined'") == repr(mined)


def test_a_network_whose_weights_were_exchanged_is_not_run(
    pictures: rosetta.ImageSet, tmp_path: Path
) -> None:
    spec = {**RANDOM, "weights": {"file": str(tmp_path / "w.pt")}}
    torch.save(
        rosetta.load_model(RANDOM, device="cpu").network.network.state_dict(), tmp_path / "w.pt"
    )
    model = rosetta.load_model(spec, device="cpu")
    folder = rosetta.mine(small(0), [model], pictures, k=2).save(tmp_path / "mine")
    before = rosetta.open_run(folder).maps("named/layer1/0", 0)
    other = {**RANDOM, "weights": {"random": 4}}
    torch.save(
        rosetta.load_model(other, device="cpu").network.network.state_dict(), tmp_path / "w.pt"
    )
    run = rosetta.open_run(folder)
    for act in (lambda: run.maps("named/layer1/0", 0), lambda: run.model("named")):
        with pytest.raises(RosettaError, match=r"computed with other weights of named.*mine again"):
            act()
    assert before.any()


def test_it_is_verified_whole(saved: Path) -> None:
    result = verify_run(run_config(saved), everything=True)
    assert result.problems == [] and result.unlisted == [] and result.artifacts > 15
    provenance = json.loads((saved / "provenance.json").read_text())
    weights = provenance["weights"]
    assert weights["named"] == {"random": {"random": 3}}
    assert len(weights["small0"]["sha256"]) == 64
    assert weights["small0"]["sha256"] != weights["small1"]["sha256"]
    assert provenance["run"] == "mine"


@pytest.mark.parametrize("name", ["tables/rosetta.parquet", "samples/small0/00000.json"])
def test_damage_is_found(saved: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(saved, tmp_path / "mine")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert verify_run(run_config(folder)).problems


def test_pages_and_figures_are_those_of_a_run(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = RunPaths(run_config(saved)).pages
    assert all(page.is_file() for page in pages)
    assert (saved / "dictionary/figures/concepts.png").is_file()
    assert '"mine"' in (saved / "dictionary/data/index.js").read_text()
    config = str(saved / "config.yaml")
    concept = rosetta.open_run(saved).concepts["concept_id"].iloc[-1]
    figure = ["figure", "--config", config, "--examples", "1"]
    assert main([*figure, "--concepts", concept, "--out", f"{tmp_path}/f"]) == 0
    assert (tmp_path / "f.png").is_file()
    assert main([*figure, "--concepts", "0", "2/999"]) == 2
    assert "there is no concept '2/999'" in capsys.readouterr().err
    assert main(["export", "--config", config, "--to", f"{tmp_path}/tables"]) == 0
    assert main(["verify", str(saved)]) == 0
    assert main(["compare", str(saved), str(saved)]) == 0


def test_concepts_are_named_by_number_and_id(mined: rosetta.Mined) -> None:
    concepts = mined.concepts
    for number, name in zip(concepts["concept"], concepts["concept_id"], strict=True):
        pd.testing.assert_frame_equal(mined.concept(name), mined.concept(number))
        assert (mined.concept(name)["concept_id"] == name).all()
    drawn = [mined.plot_concept(x, examples=1) for x in (number, name)]
    assert [len(figure.axes) for figure in drawn] == [len(drawn[0].axes)] * 2
    mined.plot_image(1, concepts=[name, number])
    for call in (mined.concept, mined.plot_concept, lambda x: mined.plot_image(0, concepts=[x])):
        with pytest.raises(RosettaError, match="there is no concept '2/999'"):
            call("2/999")


def test_a_comparison_says_what_became_of_concepts(
    mined: rosetta.Mined, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = rosetta.open_run(saved)
    assert set(mined.map_concepts(run)["status"]) == {"kept"}
    with pytest.raises(RosettaError, match="int is not a result"):
        mined.map_concepts(3)
    folder = shutil.copytree(saved, tmp_path / "rerun")
    last = len(run.concepts) - 1
    for path in (folder / "tables/rosetta.parquet", folder / "tables/concepts.parquet"):
        table = read_table(path)
        write_table(table[table["concept"] < last].reset_index(drop=True), path)
    assert main(["compare", str(saved), str(folder)]) == 0  # as if by rounding
    out = capsys.readouterr().out
    assert f"concepts by status: {last} kept, 0 split, 0 merged, 1 gone, 0 new" in out
    assert f"concept gone: {run.concepts['concept_id'].iloc[-1]}" in out


def test_maps_come_from_networks_that_load_again(mined: rosetta.Mined, saved: Path) -> None:
    run = rosetta.open_run(saved)
    unit = mined.units("named")["id"].iloc[3]
    np.testing.assert_allclose(run.maps(unit, [2, 0]), mined.maps(unit, [2, 0]), atol=1e-3)
    assert run.config.model("named").family == "timm"
    unit = mined.units("small1")["id"].iloc[0]
    with pytest.raises(RosettaError, match=r"^small1: its network was given in memory .*; mine "):
        run.maps(unit, [0])
    with pytest.raises(RosettaError, match=r"^small1: its network was given in memory"):
        run.model("small1")


def test_a_generator_its_latents_and_stored_maps_are_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    painter = rosetta.wrap(Painter().eval(), ["up"], latent_size=4, name="painter")
    mined = rosetta.mine(painter, [small(1)], rosetta.sample(painter, 9, seed=5), k=2)
    run = rosetta.open_run(mined.save(tmp_path / "drawn", activations=True))
    assert run.config.sampling.source is None and run.config.sampling.seed == 5
    for name in mined.models:
        for unit in mined.units(name)["id"].iloc[[0, -1]]:
            np.testing.assert_array_equal(run.maps(unit, [7, 3]), mined.maps(unit, [7, 3]))
    assert (run.images() == mined.images()).all()
    assert (run._samples.latents(range(9)) == mined._image_set.latents).all()
    assert repr(run).replace("Run 'drawn'", "Mined 'mined'") == repr(mined)
    assert verify_run(run.config, everything=True).problems == []


def test_a_network_that_was_changed_is_not_loaded_again(
    pictures: rosetta.ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    named = rosetta.load_model(RANDOM, device="cpu")
    with torch.no_grad():
        next(named.network.network.parameters()).add_(0.1)
    folder = rosetta.mine(small(0), [named], pictures, k=2).save(tmp_path / "tuned")
    assert "named: its weights were changed after it was loaded" in caplog.text
    with pytest.raises(RosettaError, match="named: its network was given in memory"):
        rosetta.open_run(folder).maps(("named", 0), [0])


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["plan"],
        ["mine"],
        ["sample", "--shard", "00000"],
        ["activations", "named", "--shard", "00000"],
        ["correlations", "named"],
        ["concepts"],
        ["unit-examples", "named"],
        ["dictionary"],
        ["provenance"],
        ["steer", "job"],
    ],
    ids=lambda command: command[0],
)
def test_stages_are_refused_and_the_run_is_left_whole(
    saved: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    before = contents(saved)
    assert main([*command, "--config", str(saved / "config.yaml")]) == 2
    line = capsys.readouterr().err
    assert "run 'mine': was mined in memory and saved" in line and line.count("\n") == 1
    assert contents(saved) == before


def test_its_damage_is_not_deleted(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(saved), "--delete", "--yes"]) == 2
    assert "cannot be regenerated" in capsys.readouterr().err


def _file(folder: Path) -> Path:
    (folder / "taken").write_text("mine")
    return folder / "taken"


def _full(folder: Path) -> Path:
    (folder / "full").mkdir()
    (folder / "full/thesis.txt").write_text("mine")
    return folder / "full"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (_file, "is a file"),
        (_full, "exists and is not empty"),
        (lambda folder: folder / "a--b", "is not a name"),
        (lambda folder: folder / "a b", "is not a name"),
        (lambda folder: 3, "int is not a path"),
        (lambda folder: _file(folder) / "run", "give another folder"),
        (lambda folder: "nul\0", "give another folder"),
    ],
)
def test_bad_targets_are_refused_before_any_work(
    mined: rosetta.Mined, tmp_path: Path, place: Callable[[Path], object], message: str
) -> None:
    target = place(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(RosettaError) as raised:
        mined.save(target)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert contents(tmp_path) == before


def test_a_failure_leaves_nothing(
    mined: rosetta.Mined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rosetta_core.api.saving.write_topk", full)
    with pytest.raises(RosettaError, match=r"empty: cannot be written \(No space left on device\)"):
        mined.save(tmp_path / "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"pivot": {"name": "x", "family": "in_memory", "architecture": "Net"}},
            "x: family in_memory is a network that was given to rosetta.mine",
        ),
        ({"sampling": {"source": "array"}}, "sampling.source: only saved results have it"),
        ({"origin": "memory"}, "steering: a saved result of rosetta.mine has no jobs"),
        (
            {"origin": "memory", "steering": {}, "sampling": {"folder": "photos"}},
            "sampling.folder: images were given in memory",
        ),
    ],
)
def test_only_saved_results_have_models_in_memory(keys: dict, message: str) -> None:
    with pytest.raises(RosettaError) as raised:
        rosetta.load_config(keys)
    assert message in str(raised.value)
