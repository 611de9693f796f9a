"""Mine the units that vision networks share into a dictionary of concepts.

from rosetta_core import load_config, stages

config = load_config(Path("config.yaml"))
stages.mine(config)                          # or one stage: stages.correlations(config, …)
"""

from importlib.metadata import version

from rosetta_core import stages
from rosetta_core.config import Config, load_config
from rosetta_core.errors import RosettaError

__all__ = ["Config", "RosettaError", "__version__", "load_config", "stages"]
__version__ = version("rosetta-core")
