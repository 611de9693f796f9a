"""Reading and checking of configurations and training recipes, with errors of one line.

An error names the file, the key, what is wrong with its value, and what to do; an unknown key comes
with the known keys that are spelt alike. A key of the top level that starts with `x-` is ignored.
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
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.named_models import expand_name

__all__ = [
    "IGNORED_PREFIX",
    "load_config",
    "load_recipe",
    "parse_config",
    "parse_model",
    "parse_section",
]

Model = TypeVar("Model", bound=BaseModel)
# pydantic adds the tags of a union to the path of a key
UNION_TAGS = (
    *("PackageWeights", "UrlWeights", "HubWeights"),
    *("ShippedWeights", "FileWeights", "RandomWeights"),
)
CONTENT = "configuration"  # name of content that is not of a file, in messages
IGNORED_PREFIX = "x-"  # of top-level keys, for YAML anchors
MAX_SHOWN = 60  # characters of a value in a message


def load_config(
    *sources: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Config:
    """Read and check the configuration of a run.

    Args:
        sources: paths of YAML files, or dictionaries of keys; later ones change keys of earlier
            ones, section by section. Without any, every key has its default.
        changes: further changes of keys.

    Raises:
        RosettaError: a file cannot be read, or the configuration is wrong.
    """
    for given in (*sources, {} if changes is None else changes):
        text = isinstance(given, str) and (not given or "\n" in given)  # content, not a path
        if text or not isinstance(given, str | Path | Mapping):
            raise RosettaError(f"{CONTENT}: {_shorten(given)} is no path and no keys; give either")
    names = [CONTENT if isinstance(source, Mapping) else str(source) for source in sources]
    content: dict[str, Any] = {}
    for source, name in zip(sources, names, strict=True):
        part = source if isinstance(source, Mapping) else read_yaml(Path(source))
        content = _merge(content, _mapping(part, source=name))
    return parse_config(_merge(content, changes or {}), source=", ".join(names) or CONTENT)


def _merge(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return content with changed keys; sections are merged, and other values are replaced."""
    merged = dict(content)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[key] = _merge(before, value)
        else:
            merged[key] = value
    return merged


def _mapping(content: Any, *, source: str) -> Mapping[str, Any]:
    """Return content that has keys and values; RosettaError otherwise."""
    if not isinstance(content, Mapping):
        raise RosettaError(f"{source}: expected keys and values, found {type(content).__name__}")
    return content


def parse_model(content: Any, source: str = "model") -> ModelSpec:
    """Check the definition of a model: a name, or keys; RosettaError for the first wrong key."""
    try:
        return parse_section(ModelSpec, expand_name(content), source=source)
    except ValueError as error:
        raise error if isinstance(error, RosettaError) else RosettaError(str(error)) from None


def load_recipe(path: Path) -> Recipe:
    """Read and check the YAML recipe of a training; RosettaError if it is wrong."""
    return parse_section(Recipe, read_yaml(path), source=str(path))


def parse_config(content: Any, source: str = CONTENT) -> Config:
    """Check the content of a configuration; RosettaError for the first key that is wrong."""
    return parse_section(Config, content, source=source)


def parse_section(model: type[Model], content: Any, *, source: str) -> Model:
    """Check the content of a section; RosettaError for the first key that is wrong."""
    content = _mapping(content, source=source)
    known = {key: value for key, value in content.items() if not _is_ignored(key)}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        first, *others = error.errors()
        more = f" (and {len(others)} more)" if others else ""
        raise RosettaError(f"{source}: {_explain(first, model)}{more}") from None


def _is_ignored(key: Any) -> bool:
    """Return whether a key of the top level only holds YAML anchors."""
    return isinstance(key, str) and key.startswith(IGNORED_PREFIX)


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return one pydantic error as `key: what is wrong (value); what to do`."""
    parts = [part for part in error["loc"] if part not in UNION_TAGS]
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")
    value, message = error["input"], error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            known = _known_keys(model, parts[:-1])
            hint = did_you_mean(str(parts[-1]), known)
            key = key if key.isascii() else ascii(key)  # letters of other scripts look alike
            return f"{key}: unknown key{hint or '; known keys: ' + ', '.join(known)}"
        case "invalid_key":  # a number or a date; pydantic puts the place into its own words
            named = key if parts and isinstance(parts[-1], str) else ""
            return f"{named or repr(value)}: not a key; keys are names"
        case "missing":
            return f"{key}: required key is missing; add it"
        case "string_pattern_mismatch" if error["ctx"]["pattern"] in PATTERN_MESSAGES:
            return f"{key}: {_shorten(value)} {PATTERN_MESSAGES[error['ctx']['pattern']]}"
        case "model_type":
            return f"{key}: expected keys and values, found {type(value).__name__}"
        case "value_error":  # messages about several keys name them
            where, shown = f"{key}: " if key else "", ""
        case _:
            where, shown = f"{key}: ", f", not {_shorten(value)}"
    return f"{where}{message[0].lower()}{message[1:]}{shown}"


def _shorten(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _known_keys(model: type[BaseModel], parts: list[int | str]) -> list[str]:
    """Return the keys of the section at a path."""
    sections: list[type[BaseModel]] = [model]
    for part in parts:
        if isinstance(part, str):
            fields = [s.model_fields[part] for s in sections if part in s.model_fields]
            sections = [section for field in fields for section in _sections(field.annotation)]
    return [key for section in sections for key in section.model_fields]


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _sections(part)
