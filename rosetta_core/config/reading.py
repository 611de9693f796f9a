"""Read a configuration, and say in one line what is wrong with it.

load_config     read and check the YAML file of a run
load_recipe     read and check that of a training
parse_config    check a dictionary (what Snakemake hands over)
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rosetta_core.config.run import Config
from rosetta_core.config.strict_yaml import read_yaml
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.training.recipe import Recipe
from rosetta_core.validation import PATTERN_MESSAGES

__all__ = ["load_config", "load_recipe", "parse_config"]

Whole = TypeVar("Whole", bound=BaseModel)
# pydantic puts them into a key's path
UNION_TAGS = (
    *("PackageWeights", "UrlWeights", "HubWeights"),
    *("ShippedWeights", "FileWeights", "RandomWeights"),
)


def load_config(path: Path) -> Config:
    """Read and check a YAML configuration; RosettaError in one line if it is wrong."""
    return parse_config(read_yaml(path), source=str(path))


def load_recipe(path: Path) -> Recipe:
    """Read and check the YAML recipe of a training; RosettaError in one line if it is wrong."""
    return _parsed(Recipe, read_yaml(path), source=str(path))


def parse_config(content: Any, source: str = "configuration") -> Config:
    """Check a configuration; RosettaError names the first key that is wrong and why."""
    return _parsed(Config, content, source=source)


def _parsed(section: type[Whole], content: Any, *, source: str) -> Whole:
    if not isinstance(content, Mapping):
        raise RosettaError(f"{source}: expected keys and values, found {type(content).__name__}")
    try:
        return section.model_validate(dict(content))
    except ValidationError as error:
        first, *others = error.errors()
        also = f" (and {len(others)} more)" if others else ""
        raise RosettaError(f"{source}: {_explain(first, section)}{also}") from None


def _explain(error: ErrorDetails, whole: type[BaseModel]) -> str:
    """One pydantic error as `key: what is wrong`."""
    parts = [part for part in error["loc"] if part not in UNION_TAGS]
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")
    if error["type"] == "extra_forbidden":
        known = _keys_beside(whole, parts[:-1])
        hint = did_you_mean(str(parts[-1]), known)
        return f"{key}: unknown key{hint or '; those here are ' + ', '.join(known)}"
    if error["type"] == "invalid_key":  # a number or a date, say, whose place pydantic words itself
        return f"{key or parts[-1]}: is no key; those are words"
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    if error["type"] == "missing":
        return f"{key}: this key is missing; give it"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] in PATTERN_MESSAGES:
        return f"{key}: {_shorten(given)} {PATTERN_MESSAGES[error['ctx']['pattern']]}"
    shown = "" if error["type"] == "value_error" else f", not {_shorten(given)}"
    if error["type"] == "model_type":
        message, shown = "expected keys and values", f", found {type(given).__name__}"
    about = f"{key}: " if key else ""  # what concerns several keys names them itself
    return f"{about}{message[0].lower()}{message[1:]}{shown}"


def _shorten(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_beside(section: type[BaseModel], parts: list[int | str]) -> list[str]:
    """The keys known at a place in the configuration, for the hint at a misspelt one."""
    sections: list[type[BaseModel]] = [section]
    for part in parts:
        if isinstance(part, str):
            fields = [s.model_fields[part] for s in sections if part in s.model_fields]
            sections = [found for field in fields for found in _sections(field.annotation)]
    return [key for found in sections for key in found.model_fields]


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _sections(part)
