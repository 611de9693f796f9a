"""For every key of a configuration: the jobs whose settings it changes, and no others."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny

from rosetta_core.config import parse_config
from rosetta_core.stages import triggers
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.stage import job_name

Keys = tuple[str | int, ...]

OTHER = {  # valid values of keys whose value cannot be changed without knowing them
    r"device": "cuda",
    r"memory_budget": "1 GiB",
    r"max_pixels": 2**28,
    r"resources": "elsewhere",
    r".*\.weights\.match": "other",
    r".*\.max_size": "1 GiB",
    r"pivot\.layers\.\d": "main.5",
    r"encoders\.\d\.input": {"size": 96, "mean": [0.5] * 3, "std": [0.5] * 3},
    r".*\.layout": "nchw",
    r"encoders\.\d\.grid": [4, 4],
    r".*\.prefix_tokens": 1,
    r".*\.layouts": {"**": {"layout": "nchw"}},
    r".*\.float32_layers": ["**"],
    r"pivot\.output_range": [0, 1],
    r"sampling\.bit_depth": 12,
    r"activations\.batch_size": 4,
    r".*\.learning_rate": 0.5,
    r"steering\.perceptual\.evaluation\.layers": ["blocks.2.1.bn2.act"],
    r".*\.sha256": "b" * 64,
    r".*\.package": "another==1.0",
    r".*\.space": "w",
    r".*\.lpips": "alex",
    r"steering\.perceptual\.loss\.encoder": "mtcnn_onet",
    r"steering\.perceptual\.evaluation\.encoder": "mtcnn_onet",
    r".*\.regulariser": "l1",
    r".*\.similarity": "dataset",
    r".*\.pixels": "l2",
    r".*\.pairs": "best_buddies",
    r".*\.image\.sample": "chelsea",
    r".*\.invert\.\d\.encoders": ["mtcnn_onet"],
    r"steering\.edit\.\d\.source_job": "astronaut",
    r"steering\.evaluate\.\d\.images": [{"seed": 1}],
    r"significance\.splits": 2,
}
# a change makes other jobs, is another kind of job, or is no configuration without a second change
NOT_ALONE = (
    r"(pivot|encoders\.\d)\.(name|family|architecture|arguments|target)|pivot\.(input|grid)"
    r"|encoders\.\d\.output_range|.*\.image\.bit_depth"
    r"|origin|sampling\.(images|classes|folder|source)|activations\.store|correlation\.blocks"
    r"|significance\.(nulls|intervals)|steering\.\w+\.\d\.name|.*\.image\.(file|seed)"
    r"|steering\.edit\.\d\.(source_seed|kind|concept|units|mask|function|similarity)"
    r"|steering\.show\.\d\.unit|steering\.tune\.\d\.source_job|.*\.(class_label|lpips)"
)
INVERSION = {"steer astronaut", "steer tuned", "steer shifted"}  # and what starts from it
# all that compare images: their distances are between encoders' maps
COMPARISONS = {*INVERSION, "steer table"}
EXPECTED = {
    r"run": {"dictionary", "steering_pages"},
    r"results|resources|device|memory_budget|max_pixels|activations\.batch_size": set(),
    r".*\.max_size": set(),
    r".*\.weights\.licence": {"dictionary"},
    r"pivot\.(weights\..*|output_range)": {
        "sample",
        "activations dcgan",
        *COMPARISONS,
        "steer strongest",
    },
    r"pivot\.(layers\..*|layouts?|prefix_tokens|float32_layers)": {
        "activations dcgan",
        *COMPARISONS,
        "steer strongest",
    },
    r"encoders\.0\..*": {"activations efficientnet_lite0", *COMPARISONS},
    r"encoders\.1\..*": {"activations mobilenet_v2", *COMPARISONS},
    r"encoders\.2\..*": {"activations mtcnn_onet", *COMPARISONS},
    r"sampling\.seed": {"sample", "null_models", "dictionary"},
    r"sampling\.truncation": {
        *("sample", "activations dcgan", "dictionary", *COMPARISONS, "steer strongest"),
    },
    r"sampling\.(size|bit_depth)": {"dictionary"},  # of images of a folder
    r"sampling\.shard_size": {
        *("sample", "dictionary", "activations dcgan", "activations efficientnet_lite0"),
        *("activations mobilenet_v2", "activations mtcnn_onet"),
    },
    r"activations\.min_relative_std": {
        *("units", "correlations", "null_models", "pair_statistics", "sweep"),
    },
    r"correlation\.keep_matrix": {"correlations", "neighbours"},
    r"neighbours\.k": {"neighbours", "null_models", "significance", "dictionary", "sweep_curves"},
    r"significance\.splits": {"correlations", "significance"},
    r"dictionary\.examples": {"dictionary"},
    r"dictionary\.unit_examples": {"unit_examples"},
    r"steering\.perceptual\.loss\..*": COMPARISONS,
    r"steering\.perceptual\.evaluation\..*": COMPARISONS,
    r"steering\.invert\..*": INVERSION,
    r"steering\.tune\..*": {"steer tuned", "steer shifted"},
    r"steering\.edit\..*": {"steer shifted"},
    r"steering\.show\..*": {"steer strongest"},
    r"steering\.evaluate\..*": {"steer table"},
}


def leaves(node: dict | list, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """All values of a configuration with the keys that lead to them."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def name(path: Keys) -> str:
    return ".".join(map(str, path))


def other(path: Keys, value: Any) -> Any:
    """Another valid value of a key."""
    for pattern, known in OTHER.items():
        if re.fullmatch(pattern, name(path)):
            return known if known != "other" else {"name": "order", "order": "name"}[value]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 if value else 1.0
        case list():
            return ["another"]
        case _:
            return f"{value or 'another'}x"


def settings(content: dict) -> dict[str, list[str]]:
    """The settings of all jobs, by stage; of activations and steering by model and by job."""
    config, found = parse_config(content), dict[str, list[str]]()
    for stage in STAGES.values():
        for job in stage.jobs(config):
            first = job_name(job)[:1] if stage.name in ("activations", "steer") else []
            key = " ".join([stage.name, *first])
            found.setdefault(key, []).append(triggers.settings(stage, config, **job))
    return found


CONTENT = tiny()
KEYS = [(path, value) for path, value in leaves(CONTENT) if not re.fullmatch(NOT_ALONE, name(path))]


@pytest.mark.parametrize(("path", "value"), KEYS, ids=[name(path) for path, _ in KEYS])
def test_a_key_changes_the_settings_of_the_jobs_that_read_it(
    path: Keys, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # layers of networks are written into the resources
    before, changed = settings(CONTENT), deepcopy(CONTENT)
    section: Any = changed
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = other(path, value)
    after = settings(changed)
    assert after.keys() == before.keys()
    expected = next(jobs for key, jobs in EXPECTED.items() if re.fullmatch(key, name(path)))
    assert {job for job in before if after[job] != before[job]} == expected


def test_without_stored_maps_stages_depend_on_the_networks_that_they_run() -> None:
    """The networks feed the correlations, the examples and the sweep, each model its own."""
    live = tiny(activations={"store": "none"})
    before, changed = parse_config(live), deepcopy(live)
    changed["encoders"][0]["layers"] = ["blocks.2.1.bn2.act"]
    after = parse_config(changed)
    differ = {
        " ".join([stage.name, *job_name(job)])
        for stage in STAGES.values()
        if stage.name != "steer"
        for job in stage.jobs(before)
        if triggers.settings(stage, before, **job) != triggers.settings(stage, after, **job)
    }
    name = "efficientnet_lite0"
    correlations = {job for job in differ if job.startswith("correlations ")}
    assert correlations
    assert differ - correlations == {"concept_examples", f"unit_examples {name}", f"sweep {name}"}


def test_images_of_a_folder_depend_on_how_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    content = tiny()
    content["pivot"], *content["encoders"] = content["encoders"]
    content["sampling"] |= {"folder": str(tmp_path / "images")}
    content["steering"] = {}
    before = settings(content)
    reads = {"size": 128, "bit_depth": 12, "seed": 1}
    for key, value in reads.items():
        after = settings({**content, "sampling": {**content["sampling"], key: value}})
        differ = {job for job in before if after[job] != before[job]}
        assert differ == {"dictionary", "null_models" if key == "seed" else "sample"}
