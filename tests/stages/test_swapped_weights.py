"""Images and maps name the weights that computed them, so that other weights are noticed."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from safetensors.torch import save_file

from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.io.zarr_store import read_manifest
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.weights import find_stale_stores, model_digest
from rosetta_core.stages import activations, sample, triggers
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.verify import delete_damaged, verify_run
from rosetta_core.zoo.loading import load
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import record_path

CPU = torch.device("cpu")
NET = {"name": "net", "family": "mtcnn_onet"}
URL = "https://host.example/net.safetensors"


def write_weights(path: Path, seed: int, *, time: int) -> None:
    """Random weights of a seed: files of all seeds have the same size, and here the same time."""
    model = ModelSpec(**NET, weights={"random": seed})
    path.parent.mkdir(parents=True, exist_ok=True)
    replacement = path.with_suffix(".new")
    save_file(load(model, None, device=CPU).network.state_dict(), replacement)
    os.utime(replacement, ns=(time, time))
    replacement.replace(path)


def config_of(folder: Path, weights: dict[str, Any]) -> Config:
    content = tiny(
        encoders=[{**NET, "weights": weights, "layers": ["prelu3"]}],
        results=str(folder / "results"),
        resources=str(folder / "resources"),
        sampling={"images": 2, "shard_size": 2},
        dictionary={"examples": 2},
        neighbours={"k": 2},
    )
    content["pivot"] |= {"weights": "random", "layers": ["main.8"]}
    return parse_config(content)


def record(config: Config) -> None:
    sample.run(config, shard="00000")
    activations.run(config, model="net", shard="00000")


def test_exchanged_weights_of_the_same_size_and_time_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, 1, time=10**18)
    config = config_of(tmp_path, {"file": str(path)})
    check_config(config)
    record(config)
    store = RunPaths(config).activations("net", "00000")
    first = read_manifest(store)["weights"]
    assert first == file_sha256(path)
    assert read_manifest(RunPaths(config).samples("00000"))["weights"] is None  # random
    assert list(find_stale_stores(config)) == []
    job = {"model": "net", "shard": "00000"}
    stage = STAGES["activations"]
    before = triggers.trigger(stage, config, **job), triggers.settings(stage, config, **job)

    write_weights(path, 2, time=10**18)
    (stale,) = find_stale_stores(config)
    assert (stale.store, stale.before, stale.now) == (store, first, file_sha256(path))
    assert triggers.trigger(stage, config, **job) != before[0]
    assert triggers.settings(stage, config, **job) == before[1]
    check_config(config)  # Snakemake runs the job again
    problems = [text for text in verify_run(config).problems if "other weights" in text]
    assert problems == [str(stale)]
    assert "\n" not in problems[0]
    assert RunPaths(config).activations("net", "00000").exists()
    result = verify_run(config)
    assert result.damaged[store.with_suffix(".json")] == (store.with_suffix(".json"), store)
    delete_damaged(config, result.damaged)
    assert not store.exists()

    write_weights(path, 1, time=10**18)
    assert triggers.trigger(stage, config, **job) == before[0]


def test_exchanged_fetched_weights_are_refused_by_the_next_run(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"url": URL})
    path = RunPaths(config).weights(config.encoders[0])
    write_weights(path, 1, time=10**18)
    record(config)
    check_config(config)
    record_path(path).unlink(missing_ok=True)
    write_weights(path, 2, time=10**18)
    with pytest.raises(RosettaError, match="was computed with other weights of net") as caught:
        check_config(config)
    assert "delete" in str(caught.value)
    path.unlink()  # a moved run needs no weights
    check_config(config)


def test_weights_that_are_not_in_a_file_have_no_digest(tmp_path: Path) -> None:
    for weights in ("random", {"url": URL}):
        config = config_of(tmp_path, weights)
        assert model_digest(config.encoders[0], RunPaths(config)) is None
