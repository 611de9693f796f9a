"""Mining of units that vision networks share, into a dictionary of concepts.

    from pathlib import Path

    from rosetta_core import load_config, open_run, stages

    config = load_config(Path("config.yaml"))
    stages.concepts.run(config)      # one stage; stages.tools.mine.mine(config) runs all
    run = open_run("results/faces")  # tables, images and maps: run.concepts, run.maps(…)

Names are imported on first use: importing everything takes seconds, and the package itself imports
neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rosetta_core import stages
    from rosetta_core.config import Config, load_config
    from rosetta_core.errors import RosettaError
    from rosetta_core.runs.finished.run import Run, open_run

    __version__: str

__all__ = ["Config", "RosettaError", "Run", "__version__", "load_config", "open_run", "stages"]

MODULES = {
    "Config": "config",
    "RosettaError": "errors",
    "Run": "runs.finished.run",
    "load_config": "config",
    "open_run": "runs.finished.run",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "__version__":
        return import_module("importlib.metadata").version("rosetta-core")
    if name == "stages":
        return import_module("rosetta_core.stages")
    if name in MODULES:
        return getattr(import_module(f"rosetta_core.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
