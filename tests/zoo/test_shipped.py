"""Weights in the package are what its table says, small, without what training alone needed."""

import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from checkout import ROOT, copy_checkout
from conftest import tiny
from safetensors import safe_open
from safetensors.torch import load_file

from rosetta_core import stages
from rosetta_core.cli.main import main
from rosetta_core.config import Config, load_recipe, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime import code_fingerprint as module
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.triggers import settings
from rosetta_core.training.recipe import fingerprint as recipe_fingerprint
from rosetta_core.zoo.loading import build, layers_of, load
from rosetta_core.zoo.model_spec import EncoderSpec
from rosetta_core.zoo.weights.checksums import verify_weights
from rosetta_core.zoo.weights.local import SHIPPED, ShippedWeights

CPU = torch.device("cpu")
PACKAGE = ROOT / "rosetta_core"
FOLDER = PACKAGE / "zoo" / "shipped"
LARGEST = 4_000_000  # bytes


def encoder(name: str) -> EncoderSpec:
    return EncoderSpec.model_validate(name)


def file_of(name: str) -> Path:
    return RunPaths(Config()).weights(encoder(name))


def tiny_with(*encoders: str | dict, **changes) -> Config:
    return parse_config(tiny(encoders=list(encoders), **changes))


def test_every_file_is_in_the_table_and_has_its_card() -> None:
    found = {file.name for file in FOLDER.iterdir()}
    assert found == {f"{name}{kind}" for name in SHIPPED for kind in (".safetensors", ".md")}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_is_the_one_of_the_table_and_of_its_card(name: str) -> None:
    assert file_of(name) == FOLDER / f"{name}.safetensors"
    assert file_sha256(file_of(name)) == SHIPPED[name] == encoder(name).weights.sha256
    assert SHIPPED[name] in (FOLDER / f"{name}.md").read_text()
    assert file_of(name).stat().st_size <= LARGEST


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_holds_the_encoder_in_half_precision_and_nothing_else(name: str) -> None:
    network = build(encoder(name)).network
    tensors = load_file(file_of(name))
    assert {entry: value.shape for entry, value in tensors.items()} == {
        entry: value.shape for entry, value in network.state_dict().items()
    }
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert not [entry for entry in tensors if "head" in entry or "decoder" in entry]
    assert all(value.isfinite().all() for value in tensors.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_was_made_by_the_recipe_that_stands_in_configs(name: str) -> None:
    recipe = load_recipe(ROOT / "configs" / "train" / f"{name.replace('_', '-')}.yaml")
    assert recipe.name == name
    assert (recipe.architecture, recipe.arguments) == (
        encoder(name).architecture,
        encoder(name).arguments,
    )
    with safe_open(file_of(name), framework="pt") as stored:
        assert stored.metadata()["recipe"] == recipe_fingerprint(recipe)


@pytest.mark.whole_run
@pytest.mark.parametrize("name", SHIPPED)
def test_an_encoder_shares_more_with_the_generator_than_before_its_training(
    name: str, weights: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pivot = weights.pivot.model_dump(mode="json") | {"layers": ["main.5", "main.8"]}
    sampling = {"images": 64, "shard_size": 64}
    config = tiny_with(name, {"zoo": name, "untrained": True}, pivot=pivot, sampling=sampling)
    stages.sample.run(config, shard="00000")
    found = {}
    for model in config.models:
        stages.activations.run(config, model=model.name, shard="00000")
    for model in (name, f"{name}_untrained"):
        stages.correlations.run(config, models=[model])
        found[model] = len(read_table(stages.neighbours.run(config, model=model)[1]))
    assert found[name] > 1.5 * found[f"{name}_untrained"] > 0


def test_a_wheel_contains_them() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = about["tool"]["setuptools"]["package-data"]["rosetta_core"]
    packed = {file for pattern in patterns for file in PACKAGE.glob(pattern)}
    assert set(FOLDER.iterdir()) <= packed


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_encoder_runs_with_the_weights_of_its_file(name: str) -> None:
    loaded = load(encoder(name), file_of(name), device=CPU)
    with safe_open(file_of(name), framework="pt") as stored:
        for entry, value in loaded.network.state_dict().items():
            assert torch.equal(value, stored.get_tensor(entry).float())
    assert loaded.input.size == 64
    layers = layers_of(encoder(name), loaded)
    assert [layer.name for layer in layers] == [f"blocks.{block}.mlp.act" for block in range(6)]
    assert {(layer.channels, layer.grid) for layer in layers} == {(640, (8, 8))}


def test_the_control_is_the_same_network_with_other_weights() -> None:
    control = EncoderSpec.model_validate({"zoo": "mae_faces", "untrained": True})
    other = EncoderSpec.model_validate({"zoo": "mae_faces", "untrained": 7})
    states = [load(found, None, device=CPU).network.state_dict() for found in (control, other)]
    states.append(load(encoder("mae_faces"), file_of("mae_faces"), device=CPU).network.state_dict())
    assert states[0].keys() == states[1].keys() == states[2].keys()
    weight = "blocks.0.mlp.fc1.weight"
    assert not any(torch.equal(a[weight], b[weight]) for a in states for b in states if a is not b)


def test_the_checksum_is_part_of_the_resolved_configuration() -> None:
    config = tiny_with("mae_faces")
    resolved = config.model_dump(mode="json")
    assert resolved["encoders"][0]["weights"]["sha256"] == SHIPPED["mae_faces"]
    assert resolved["encoders"][0]["weights"]["licence"] == "MIT"
    assert parse_config(resolved) == config
    null = {"shipped": "mae_faces", "sha256": None}
    assert ShippedWeights.model_validate(null) == config.encoders[0].weights


def test_other_weights_of_that_name_run_a_network_again() -> None:
    other = {"zoo": "mae_faces", "weights": {"shipped": "mae_faces", "sha256": "0" * 64}}
    first, second = (
        settings(STAGES["activations"], tiny_with(given), model="mae_faces", shard="00000")
        for given in ("mae_faces", other)
    )
    assert SHIPPED["mae_faces"] in first
    assert first.replace(SHIPPED["mae_faces"], "0" * 64) == second


def test_a_file_that_is_not_the_configuration_s_is_refused_before_a_job_starts() -> None:
    weights = ShippedWeights(shipped="mae_faces", sha256="0" * 64)
    with pytest.raises(RosettaError, match=r"the configuration has 000000000000…; remove sha"):
        verify_weights(file_of("mae_faces"), weights)
    other = encoder("mae_faces").model_copy(update={"weights": weights})
    with pytest.raises(RosettaError, match=r"mae_faces.safetensors: SHA-256 is ") as caught:
        check_config(tiny_with(other.model_dump(mode="json")))
    assert "\n" not in str(caught.value)
    with pytest.raises(RosettaError, match=r"SHA-256 is "):
        load(other, file_of("mae_faces"), device=CPU)


def test_nothing_is_fetched(tmp_path: Path, capsys) -> None:
    path = tmp_path / "config.yaml"
    encoders = ["mae_faces", {"zoo": "mae_faces", "untrained": True}]
    path.write_text(yaml.safe_dump({"encoders": encoders, "resources": str(tmp_path / "r")}))
    assert main(["fetch", "mae_faces", "mae_faces_untrained", "--config", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"mae_faces: {file_of('mae_faces')}",
        "mae_faces_untrained: has no file of weights",
    ]
    assert not (tmp_path / "r").exists()
    weights = encoder("mae_faces").weights.model_dump_json()
    assert main(["fetch-file", weights, str(tmp_path / "w")]) == 2
    assert "mae_faces, shipped with rosetta cannot be downloaded" in capsys.readouterr().err


def test_a_dry_run_neither_fetches_nor_watches_a_shipped_file(tmp_path: Path) -> None:
    """Its checksum is a setting; its time stamp is that of an installation."""
    checkout = copy_checkout(tmp_path)
    checkout.configure(tiny(encoders=["mae_faces"]))
    said = checkout.snakemake("--dry-run").stdout
    assert "activations/mae_faces/00000.zarr" in said
    assert ".safetensors" not in said


def test_weights_are_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's fingerprint counts data beside code as such; weights are told by checksum."""
    copy_checkout(tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    read = []
    for content in (b"one", b"two"):
        (tmp_path / "rosetta_core/zoo/shipped/mae_faces.safetensors").write_bytes(content)
        module._read.cache_clear()
        read.append(code_fingerprint("rosetta_core.zoo.loading", "rosetta_core.zoo.encoders.timm"))
    module._read.cache_clear()
    assert read[0] == read[1]
