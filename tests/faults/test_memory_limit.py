"""A job that exceeds a memory limit of the kernel, in a cgroup of its own."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import copy_checkout
from conftest import tiny
from start import PATIENCE, Start

from rosetta_core.config import Config

LIMIT = 4 * 2**30  # bytes; two jobs and Snakemake hold 2 GiB
HUNGRY = """
import sys
from pathlib import Path

import numpy as np
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder
from torch import nn


class Hungry(nn.Conv2d):
    def forward(self, x):
        if sys.argv[1:2] == ["activations"]:
            Path("/proc/self/oom_score_adj").write_text("1000")  # the kernel chooses this process
            self.held = [np.ones(2**27) for _ in range(8)]  # 8 GiB
        return super().forward(x)


def network():
    input = Input(size=64, mean=[0.5] * 3, std=[0.5] * 3)
    return Encoder(network=nn.Sequential(Hungry(3, 8, 3, padding=1)), input=input)
"""
OWN = {"name": "hungry", "family": "python", "target": "hungry.py:network", "layers": ["0"]}


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A cgroup that limits the memory of the processes in it; version 1 or 2."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"rosetta-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(LIMIT))
        except OSError:  # version 2 without the memory controller
            group.rmdir()
            continue
        yield group
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()
        return
    pytest.skip("no right to make a cgroup that limits memory")


def test_a_job_that_the_kernel_kills_is_one_line_and_the_others_go_on(
    weights: Config, memory_group: Path, tmp_path: Path
) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    (checkout.folder / "hungry.py").write_text(HUNGRY)
    encoders = [model for model in tiny()["encoders"] if model["name"] == "mobilenet_v2"]
    checkout.configure(tiny(encoders=[*encoders, OWN]))
    start = Start(checkout, tmp_path / "log", group=memory_group)
    assert start.process.wait(PATIENCE) == 1
    log = start.log.read_text()
    assert "Traceback" not in log
    lines = [line for line in log.splitlines() if line.startswith("rosetta: ")]
    assert len(lines) == 2, log  # one a shard
    assert all("killed (SIGKILL), probably by the kernel for memory; lower" in x for x in lines)
    failed = re.findall(r"Error in rule (\w+):.*?output: results/tiny/(.*?)/\d", log, re.S)
    assert failed == [("activations", "activations/hungry")] * 2
    recorded = {path.parent.name for path in checkout.run.glob("activations/*/*.json")}
    assert recorded == {"dcgan", "mobilenet_v2"}
    assert not list(checkout.run.rglob("*.part"))
