"""The paper's configurations in full size, with random weights: 8 images, steering of two steps.

`make test-paper`; on two cores six minutes for stylegan2-cats, and hours for all of them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PAPER, ROOT

from rosetta_core.config import Config, parse_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.mine import mine

IMAGES, STEPS = 8, 2


def in_short(path: Path, results: Path) -> Config:
    """A configuration as it is but for weights, numbers of images and of steps."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    content["pivot"] = {"zoo": content["pivot"], "weights": "random"}
    content["encoders"] = [{"zoo": name, "weights": "random"} for name in content["encoders"]]
    content["sampling"] |= {"images": IMAGES, "shard_size": IMAGES}
    content["dictionary"] = {"examples": 2, "unit_examples": 1}
    for jobs in content["steering"].values():
        for job in jobs:
            job |= {"steps": STEPS, "restarts": 1}
            if "concept" in job:  # chance finds one, and perhaps no other
                job["concept"] = 0
    content |= {"memory_budget": "8 GiB", "results": str(results)}
    return parse_config({**content, "resources": str(ROOT / "resources")})


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_configuration_goes_through_a_whole_run(path: Path, tmp_path: Path) -> None:
    config = in_short(path, tmp_path)
    layers = check_config(config)
    pages = mine(config)
    paths = RunPaths(config)
    for model in config.models:
        units = pd.read_parquet(paths.units(model.name))
        assert len(units) == sum(layer.channels for layer in layers[model.name])
        assert np.isfinite(units[["mean", "std"]]).all(axis=None)
        best = pd.read_parquet(paths.neighbours(model.name))
        assert best["corr"].abs().max() <= 1 + 1e-5
    sides = pd.read_parquet(paths.units(config.pivot.name))["height"].unique()
    assert not [side for side in sides if side & (side - 1)], "margins were left on"
    assert len(pd.read_parquet(paths.rosetta))
    assert "random weights" in (pages / "data/index.js").read_text()
    for job in config.steering.jobs.values():
        assert np.isfinite(pd.read_parquet(paths.job(job) / "metrics.parquet")["value"]).all()
