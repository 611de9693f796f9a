"""The configuration of a run: typed models, one-line errors, and the default written out."""

from rosetta_core.config.kinds import parse_bytes
from rosetta_core.config.models import (
    Encoder,
    FileWeights,
    Generator,
    Input,
    Model,
    PackageWeights,
)
from rosetta_core.config.reading import load_config, parse_config
from rosetta_core.config.run import Config
from rosetta_core.config.writing import default_yaml, json_schema, to_json

__all__ = [
    "Config",
    "Encoder",
    "FileWeights",
    "Generator",
    "Input",
    "Model",
    "PackageWeights",
    "default_yaml",
    "json_schema",
    "load_config",
    "parse_bytes",
    "parse_config",
    "to_json",
]
