"""Configuration of a run: typed models, strict reading, default YAML and JSON schema."""

from rosetta_core.config.reading import load_config, load_recipe, parse_config
from rosetta_core.config.run import Config
from rosetta_core.config.strict_yaml import read_yaml, typed_values, write_yaml
from rosetta_core.config.writing import default_yaml, json_schema

__all__ = [
    "Config",
    "default_yaml",
    "json_schema",
    "load_config",
    "load_recipe",
    "parse_config",
    "read_yaml",
    "typed_values",
    "write_yaml",
]
