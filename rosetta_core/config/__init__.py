"""The configuration of a run: typed models, one-line errors, and the default written out."""

from rosetta_core.config.kinds import parse_bytes
from rosetta_core.config.models import GENERATORS, Encoder, Input, Model
from rosetta_core.config.reading import load_config, load_recipe, parse_config
from rosetta_core.config.run import Config
from rosetta_core.config.strict_yaml import typed_texts
from rosetta_core.config.training import Recipe
from rosetta_core.config.weights import (
    Fetched,
    FileWeights,
    FromFile,
    HubWeights,
    PackageWeights,
    RandomWeights,
    ShippedWeights,
    UrlWeights,
    parse_fetched,
)
from rosetta_core.config.writing import default_yaml, json_schema, to_json

__all__ = [
    "GENERATORS",
    "Config",
    "Encoder",
    "Fetched",
    "FileWeights",
    "FromFile",
    "HubWeights",
    "Input",
    "Model",
    "PackageWeights",
    "RandomWeights",
    "Recipe",
    "ShippedWeights",
    "UrlWeights",
    "default_yaml",
    "json_schema",
    "load_config",
    "load_recipe",
    "parse_bytes",
    "parse_config",
    "parse_fetched",
    "to_json",
    "typed_texts",
]
