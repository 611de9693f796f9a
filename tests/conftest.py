"""The face zoo's weights, small configurations of it, and one whole run that tests share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkout import ROOT, Checkout, copy_checkout
from file_server import Served, serving
from filelock import FileLock
from hypothesis import settings

from rosetta_core.config import Config, parse_config
from rosetta_core.config.steering import Steering
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.prepare import fetch_weights
from rosetta_core.zoo.weights import download as downloads

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: a thread each
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of the folder of whole runs."""
    for item in items:
        if "whole_runs" in item.path.parts:
            item.add_marker("whole_run")


LAYERS = {  # few enough that maps can be enlarged outright
    "dcgan": ["main.8", "main.11"],
    "efficientnet_lite0": ["blocks.2.1.bn2.act", "blocks.5.3.bn2.act"],
    "mobilenet_v2": ["features.2.conv.1.2", "features.14.conv.1.2"],
    "mtcnn_onet": ["prelu[12]"],
}

# the paper's experiments
PAPER = [
    path
    for path in sorted(ROOT.glob("configs/*.yaml"))
    if not path.stem.startswith(("faces-", "table-"))
]

CNNS = ("efficientnet_lite0", "mobilenet_v2", "mtcnn_onet")  # a run of three is quick

STEERING = {  # a job of every kind, each with few steps
    "perceptual": {
        "loss": {"encoder": "mobilenet_v2", "size": 32, "layers": ["features.3.conv.1.2"]},
        "evaluation": {"encoder": "efficientnet_lite0", "size": 64},
    },
    "invert": [
        {
            "name": "astronaut",
            "image": {"sample": "astronaut", "box": [148, 28, 152]},
            "steps": 4,
            "restarts": 2,
        }
    ],
    "show": [{"name": "strongest", "concept": 0, "steps": 4, "restarts": 2}],
    "tune": [{"name": "tuned", "source_job": "astronaut", "steps": 2}],
    "edit": [{"name": "shifted", "source_job": "tuned", "kind": "shift", "steps": 4}],
    "evaluate": [{"name": "table", "seeds": 2, "steps": 2}],
}
NO_JOBS = Steering().model_dump(mode="json")
HALVES_ONLY = {"nulls": [], "intervals": False}  # of the evidence, what correlations bring


def tiny(**changes: Any) -> dict[str, Any]:
    """The face zoo's three CNNs with few layers and 16 images in two shards, as a file has it.

    With other encoders it has no steering jobs, unless they are given.
    """
    content = Config().model_dump(mode="json")
    content["encoders"] = [model for model in content["encoders"] if model["name"] in CNNS]
    for model in [content["pivot"], *content["encoders"]]:
        model["layers"] = LAYERS[model["name"]]
    content |= {"run": "tiny", "resources": str(ROOT / "resources"), "device": "cpu"}
    content["sampling"] |= {"images": 16, "shard_size": 8}
    content["dictionary"]["examples"] = 3
    jobs = {} if "encoders" in changes else STEERING
    content["steering"] = Steering.model_validate(jobs).model_dump(mode="json")
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return content


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of these tests share; what is in it is made under a lock."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def weights(shared: Path) -> Config:
    """The default configuration, after its weights were fetched into the checkout's resources."""
    config = parse_config({**tiny()})
    with FileLock(shared / "weights.lock"):
        for model in config.models:
            if not RunPaths(config).weights(model).is_file():
                fetch_weights(config, model=model.name)
    return config


@pytest.fixture(scope="session")
def finished(shared: Path, weights: Config) -> Checkout:
    """A checkout in which the tiny configuration was run by Snakemake; leave it as it is."""
    folder = shared / "finished"
    with FileLock(shared / "finished.lock"):
        if not folder.exists():
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                checkout = copy_checkout(temporary)
                checkout.configure(tiny())
                checkout.snakemake("--cores", "2")
    return Checkout(folder)


@pytest.fixture
def rerun(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, to change something and see what would run again."""
    folder = tmp_path / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


__all__ = ["HALVES_ONLY", "NO_JOBS", "PAPER", "ROOT", "STEERING", "Checkout", "tiny"]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of files; passing failures are waited for in no time."""
    monkeypatch.setattr(downloads, "WAITS", (0.01, 0.01, 0.01))
    with serving() as server:
        yield server
