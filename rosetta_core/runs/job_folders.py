"""Folders of finished steering jobs."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.file_index import check_contents
from rosetta_core.runs.paths import RunPaths

__all__ = ["finished_job"]


def finished_job(config: Config, name: str) -> Path:
    """Return the folder of a finished steering job.

    Raises:
        RosettaError: the configuration has no such job, or its folder is missing or damaged.
    """
    folder = RunPaths(config).job(config.steering.job(name))
    cure = f"delete {folder} and run again" if folder.exists() else "run that job first"
    check_contents(folder, cure=cure)
    return folder
