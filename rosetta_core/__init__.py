"""Mine the units that vision networks share into a dictionary of concepts.

from rosetta_core import load_config, open_run, stages

config = load_config(Path("config.yaml"))
stages.mine(config)                          # or one stage: stages.correlations(config, …)
run = open_run("results/faces")              # and read what it found: run.concepts, run.maps(…)
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rosetta_core import stages
from rosetta_core.config import Config, load_config
from rosetta_core.errors import RosettaError

if TYPE_CHECKING:
    from rosetta_core.run import Run, open_run

__all__ = ["Config", "RosettaError", "Run", "__version__", "load_config", "open_run", "stages"]
__version__ = version("rosetta-core")


def __getattr__(name: str) -> Any:
    """Import what reads a run when it is asked for: pandas takes seconds."""
    if name in ("Run", "open_run"):
        return getattr(import_module("rosetta_core.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
