"""Runs without an activated environment, with modules on PYTHONPATH and read-only weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import Checkout, copy_checkout
from conftest import tiny
from read_only import read_only

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths

ENCODER = """
from layers_of_a_friend import first
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder
from torch import nn


def build():
    network = nn.Sequential(first(), nn.ReLU())
    return Encoder(network=network, input=Input(size=32, mean=[0.5] * 3, std=[0.5] * 3))
"""
FRIEND = """
from torch import nn


def first():
    return nn.Conv2d(3, 6, 3, stride=2)
"""
TARGET = "results/tiny/activations/own/00000.json"


def start(checkout: Checkout, modules: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start Snakemake by its path, with hardly any variable."""
    (checkout.folder / "home").mkdir(exist_ok=True)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(checkout.folder / "home"),
        "PYTHONPATH": f"{modules}:{modules / 'nowhere'}",
    }
    command = [Path(sys.executable).parent / "snakemake", "--configfile", "tiny.yaml"]
    return subprocess.run(
        [*command, "--cores", "1", *arguments],
        cwd=checkout.folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path, weights: Config) -> Checkout:
    """A checkout whose resources have the pivot's weights and nothing that is only cached."""
    checkout = copy_checkout(tmp_path / "checkout")
    file = RunPaths(weights).weights(weights.pivot)
    assert file
    place = checkout.folder / "resources" / file.relative_to(weights.resources)
    place.parent.mkdir(parents=True)
    for name in (file.name, f"{file.name}.json"):
        os.link(file.with_name(name).resolve(), place.with_name(name))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "layers_of_a_friend.py").write_text(FRIEND)
    (checkout.folder / "own.py").write_text(ENCODER)
    own = {"name": "own", "family": "python", "target": "own.py:build", "layers": ["1"]}
    own |= {"weights": "random", "input": {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}}
    content = tiny(encoders=[own], resources="resources", sampling={"images": 4, "shard_size": 4})
    content["dictionary"]["examples"] = 2
    checkout.configure(content)
    return checkout


def test_jobs_find_python_modules_and_read_only_weights(checkout: Checkout, tmp_path: Path) -> None:
    modules, resources = tmp_path / "modules", checkout.folder / "resources"
    before = sorted(resources.rglob("*"))
    with read_only(resources):
        done = start(checkout, modules, "--", TARGET)
        assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(resources.rglob("*")) == before
    assert json.loads((checkout.folder / TARGET).read_text())["model"] == "own"
    # a changed setting is named before Snakemake says that parameters changed
    content = yaml.safe_load((checkout.folder / "tiny.yaml").read_text())
    content["sampling"]["seed"] = 7
    checkout.configure(content)
    again = start(checkout, modules, "--dry-run", "--", TARGET)
    assert "Params have changed" in again.stdout
    assert "rosetta: tiny: setting changed: sampling.seed: 0 → 7\n" in again.stderr
