"""A whole run in one process, without Snakemake and its cache."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages import costs
from rosetta_core.stages.registry import jobs_of
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.prepare import fetch_weights, write_config

__all__ = ["mine"]


def mine(config: Config) -> Path:
    """Run every stage, one job after the other; return the folder of the dictionary.

    The stage of costs is left out, since costs are measured by Snakemake.
    """
    check_config(config)
    write_config(config)
    for model in config.models:
        fetch_weights(config, model=model.name)
    for stage, job in jobs_of(config):
        if stage is not costs.STAGE:
            stage.run(config, **job)
    return RunPaths(config).dictionary
