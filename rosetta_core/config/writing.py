"""Default configuration as commented YAML, and JSON schema of the configuration.

Both are generated from the models: descriptions of fields are the comments of the YAML and the
tooltips of editors that read the schema.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rosetta_core.config.optimisation import LatentOptimisation
from rosetta_core.config.reading import IGNORED_PREFIX
from rosetta_core.config.run import Config
from rosetta_core.config.steering import PivotalTuning
from rosetta_core.config.strict_yaml import write_yaml

__all__ = ["default_yaml", "json_schema"]

HEAD = """\
# Offline face zoo: a generator and five encoders from the package index or this package.
# Written by `rosetta defaults`; missing keys default to the values in this file.
# yaml-language-server: $schema=workflow/config.schema.json
"""


# keys that are omitted if they have their default
RARE = (
    *("architecture", "arguments", "target", "layers", "input", "output_range", "untrained"),
    *("layout", "grid", "prefix_tokens", "layouts", "float32_layers"),
    *("entry", "match", "prefix", "absent", "ignore", "bit_depth", "max_size"),
    *("origin", "source"),
)


def json_schema() -> str:
    """Return the JSON schema of the configuration, as text."""
    schema = Config.model_json_schema()
    schema["patternProperties"] = {f"^{IGNORED_PREFIX}": {}}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def default_yaml() -> str:
    """Return the default configuration as YAML, with a comment at the first use of each key."""
    return HEAD + "\n".join(_lines(Config(), set())) + "\n"


def _lines(section: BaseModel, explained: set[str], *, brief: bool = False) -> Iterator[str]:
    """Yield the lines of a section; if `brief`, omit keys with their default."""
    for key, field in _in_order(section):
        value = getattr(section, key)
        if value == field.default and (brief or key in RARE):
            continue
        if isinstance(section, Config):
            yield ""
        if field.description and field.description not in explained:
            explained.add(field.description)
            yield f"# {field.description}"
        if isinstance(value, BaseModel):
            yield f"{key}:"
            yield from ("  " + line for line in _lines(value, explained, brief=brief))
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield f"{key}:"
            for number, item in enumerate(value):
                yield from _item(list(_lines(item, explained, brief=number > 0)))
        else:
            yield f"{key}: {_scalar(value)}"


def _in_order(section: BaseModel) -> list[tuple[str, FieldInfo]]:
    """Return the fields of a section; in jobs, required ones come first."""
    fields = list(type(section).model_fields.items())
    if isinstance(section, LatentOptimisation | PivotalTuning):
        fields.sort(key=lambda field: not field[1].is_required())
    return fields


def _scalar(value: Any) -> str:
    """Return a value on one line, quoted only where YAML requires it."""
    text = write_yaml(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("...").rstrip()


def _item(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a section as an item of a YAML list; the dash precedes the first key."""
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    for i, line in enumerate(lines):
        yield ("  - " if i == first else "    ") + line
