"""Images and maps name the weights that computed them, so that other weights are noticed."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from conftest import tiny
from safetensors.torch import save_file

from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.io.stores.store import read_manifest
from rosetta_core.io.tables import read_table, read_weights_digest, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.weights import find_stale_stores, model_digest
from rosetta_core.stages import activations, correlations, sample, triggers
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


def config_of(folder: Path, weights: Any, **others: Any) -> Config:
    content = tiny(
        encoders=[{**NET, "weights": weights, "layers": ["prelu3"]}],
        results=str(folder / "results"),
        resources=str(folder / "resources"),
        sampling={"images": 2, "shard_size": 2},
        dictionary={"examples": 2},
        neighbours={"k": 2},
        **others,
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


def test_without_stored_maps_the_tables_of_units_name_the_weights(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"url": URL}, activations={"store": "none"})
    path = RunPaths(config).weights(config.encoders[0])
    write_weights(path, 1, time=10**18)
    sample.run(config, shard="00000")
    correlations.run(config, models=[model.name for model in config.models])
    table = RunPaths(config).units("net")
    assert read_weights_digest(table) == file_sha256(path)
    assert read_weights_digest(RunPaths(config).units(config.pivot.name)) is None  # random
    assert len(read_table(table))
    check_config(config)
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    write_weights(path, 2, time=10**18)
    (stale,) = find_stale_stores(config)
    assert (stale.store, stale.now) == (table, file_sha256(path))
    with pytest.raises(RosettaError, match=f"delete {table} and run again"):
        check_config(config)
    result = verify_run(config)
    assert str(stale) in result.problems
    assert result.damaged[table] == (table,)
    table.unlink()
    assert list(find_stale_stores(config)) == []


def test_the_digest_in_a_table_is_part_of_its_checksum(tmp_path: Path) -> None:
    path = write_table(pd.DataFrame({"a": [1, 2]}), tmp_path / "t.parquet", weights="a" * 64)
    assert read_weights_digest(path) == "a" * 64
    assert read_table(path)["a"].tolist() == [1, 2]
    table = pq.read_table(path)
    changed = {**table.schema.metadata, b"rosetta:weights": b"b" * 64}
    pq.write_table(table.replace_schema_metadata(changed), path)
    with pytest.raises(RosettaError, match="damaged"):
        read_table(path)
    path.write_bytes(b"no table")
    assert read_weights_digest(path) is None


def test_weights_that_are_not_in_a_file_have_no_digest(tmp_path: Path) -> None:
    for weights in ("random", {"url": URL}):
        config = config_of(tmp_path, weights)
        assert model_digest(config.encoders[0], RunPaths(config)) is None
