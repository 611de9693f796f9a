"""A small finished run, to be changed as a stranger could, with valid checksums."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import tiny

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.io.file_index import INDEX_NAME, sign, write_file_index
from rosetta_core.io.tables import CHECKSUM_KEY, NAME_KEY, _checksum
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.prepare import write_config

PIVOT, ENCODER, JOB = "dcgan", "mtcnn_onet", "strongest"


def hostile_config(**changes: Any) -> dict[str, Any]:
    """Two networks with random weights, four images in two shards, and a steering job."""
    content = tiny(results="results", resources="resources")
    encoder = next(model for model in content["encoders"] if model["name"] == ENCODER)
    for model in (content["pivot"], encoder):
        model["weights"] = {"random": 0}
    return content | {
        "encoders": [encoder],
        "sampling": content["sampling"] | {"images": 4, "shard_size": 2},
        "steering": {"show": [{"name": JOB, "concept": 0, "steps": 1, "restarts": 1}]},
        **changes,
    }


def build_run() -> Path:
    """Run all stages but those that measure, in the working directory; return the run's folder."""
    config = parse_config(hostile_config())
    write_config(config)
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
        for model in (PIVOT, ENCODER):
            stages.activations.run(config, model=model, shard=shard)
    for model in (PIVOT, ENCODER):
        stages.units.run(config, model=model)
        stages.correlations.run(config, models=[model])
        stages.neighbours.run(config, model=model)
        stages.unit_examples.run(config, model=model)
    stages.concepts.run(config)
    stages.null_models.run(config, model=ENCODER, null="permute_images")
    stages.significance.run(config)
    stages.concept_examples.run(config)
    stages.layers.run(config)
    stages.steer.run(config, job=JOB)
    stages.steering_pages.run(config)
    stages.dictionary.run(config)
    stages.provenance.run(config)
    return RunPaths(config).run.absolute()


def rewrite_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a manifest or an index, and give it a valid checksum."""
    content = json.loads(path.read_text())
    del content["checksum"]
    changed = change(content)
    path.write_text(sign(content if changed is None else changed))


def seal_store(store: Path, *, manifest: bool = False) -> None:
    """Write the index of a store that was changed, and its manifest's checksum of it."""
    (store / INDEX_NAME).unlink(missing_ok=True)
    checksum = write_file_index(store, final_path=store)
    if manifest:
        rewrite_json(store.with_suffix(".json"), lambda content: content | {"contents": checksum})


def seal_table(path: Path, table: pa.Table) -> None:
    """Write a table with valid checksums under the name of another."""
    metadata = {
        **(table.schema.metadata or {}),
        NAME_KEY: "/".join(path.parts[-2:]).encode(),
    }
    table = table.replace_schema_metadata(metadata)
    metadata[CHECKSUM_KEY] = _checksum(table)
    pq.write_table(table.replace_schema_metadata(metadata), path)


def change_config(**changes: Any) -> Config:
    """Write another configuration into the run of the working directory."""
    config = parse_config(hostile_config(**changes))
    write_config(config)
    return config
