"""Write the configuration down: the explained default, and the schema editors complete from.

default_yaml    the default configuration, every key explained where it first appears
json_schema     the JSON schema
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rosetta_core.config.run import Config
from rosetta_core.config.steering import LatentOptimisation, PivotalTuning

__all__ = ["default_yaml", "json_schema"]

HEAD = """\
# The offline face zoo: a generator and five encoders, out of the package index or this package.
# Written by `rosetta defaults`; a key that is left out has the value it has here.
# yaml-language-server: $schema=workflow/config.schema.json
"""


# left out where not needed
RARE = (
    *("architecture", "arguments", "target", "layers", "input", "untrained"),
    *("entry", "match", "prefix", "absent", "ignore"),
)


def json_schema() -> str:
    """The JSON schema of the configuration, as text."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def default_yaml() -> str:
    """The default configuration as YAML, with a comment on each key where it first appears."""
    return HEAD + "\n".join(_lines(Config(), set())) + "\n"


def _lines(section: BaseModel, explained: set[str], *, brief: bool = False) -> Iterator[str]:
    """The lines of a section; if brief, without what has its default."""
    for key, field in _in_order(section):
        value = getattr(section, key)
        if isinstance(section, Config):
            yield ""
        elif value == field.default and (brief or key in RARE):
            continue
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
    """The fields of a section; a job begins with those that say what it is about."""
    fields = list(type(section).model_fields.items())
    if isinstance(section, LatentOptimisation | PivotalTuning):
        fields.sort(key=lambda field: not field[1].is_required())
    return fields


def _scalar(value: Any) -> str:
    """A value on one line, quoted only where YAML needs it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("...").rstrip()


def _item(lines: list[str]) -> Iterator[str]:
    """The lines of a section as one item of a YAML list; the dash stands before the first key."""
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    for i, line in enumerate(lines):
        yield ("  - " if i == first else "    ") + line
