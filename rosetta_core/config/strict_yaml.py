"""Strict YAML: plain values only, no duplicate keys, bounded size.

PyYAML's SafeLoader keeps the last of duplicate keys, and aliases of aliases multiply without bound.
Both are errors of one line here, with line and column. Numbers such as 1e-3, which YAML 1.1 takes
for text, are numbers as in YAML 1.2; `write_yaml` quotes texts that look like them. 010 and 1:30,
which YAML 1.1 takes for 8 and 90, are errors.
"""

import codecs
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from rosetta_core.errors import RosettaError

__all__ = ["read_yaml", "typed_values", "write_yaml"]

MAX_VALUES = 100_000  # an alias counts as what it stands for
MAX_BYTES = 2**20  # of a file
MAX_DEPTH = 64  # levels; PyYAML takes time that grows with their square
MAX_SHOWN = 40  # characters of a value in a message
TYPED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "null")}


FLOAT = "tag:yaml.org,2002:float"
NUMBERS = (FLOAT, "tag:yaml.org,2002:int")
EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$")  # YAML 1.1 wants a point and a sign
FIRST = list("-+0123456789")
OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+$|[0-9][0-9_]*:)")  # octal numbers, and those of base 60


class _InvalidError(ConstructorError):
    """A value that YAML allows and a configuration does not; the message includes the remedy."""

    def __init__(self, problem: str, node: Node) -> None:
        super().__init__(None, None, problem, node.start_mark)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that rejects duplicate keys, and reports malformed scalars with their place."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise _InvalidError(f"duplicate key {_shown(key)}; remove one", key)
            seen.add((key.tag, str(key.value)))
        return node

    def fetch_flow_collection_start(self, token: Any) -> None:
        super().fetch_flow_collection_start(token)
        if self.flow_level > MAX_DEPTH:
            raise RecursionError

    def add_indent(self, column: int) -> bool:
        if len(self.indents) > MAX_DEPTH:
            raise RecursionError
        return bool(super().add_indent(column))

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        if node.tag in NUMBERS and OTHER_BASE.match(node.value):
            problem = (
                f"{_shown(node)} is not a decimal number; write one, or quote it if it is text"
            )
            raise _InvalidError(problem, node)
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            problem = f"{_shown(node)} is not a valid {kind}; quote it if it is text"
            raise _InvalidError(problem, node) from error


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes texts which `_StrictLoader` would read as numbers."""


for _class in (_StrictLoader, _Dumper):
    _class.add_implicit_resolver(FLOAT, EXPONENT, FIRST)


def write_yaml(content: Any, **options: Any) -> str:
    """Return YAML that `read_yaml` reads back as the same values.

    Args:
        content: plain values.
        options: options of `yaml.dump`, for example `sort_keys`.
    """
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, **options)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, an empty mapping if the file is empty.

    Raises:
        RosettaError: the file cannot be read, is not YAML, has duplicate keys, has
            more than 1 MiB or 64 levels, or holds more than 100,000 values, where an alias counts
            as what it stands for.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        text = content.decode()
    except UnicodeDecodeError as error:
        encoding = "not UTF-8 text"
        if content.startswith(OTHER_ENCODINGS):
            encoding = "UTF-16 or UTF-32"
        raise RosettaError(f"{path}: is {encoding}; save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RosettaError(f"{path}: cannot be read: {reason}; give a YAML file") from error
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        _check_size(node)
        content = loader.construct_document(node)
        return {} if content is None else content
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        cure = "save it as UTF-8" if "\0" in text else "remove it"
        raise RosettaError(
            f"{path}: line {line}: has the character {chr(error.character)!a}, which YAML does not "
            f"allow; {cure}"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        remedy = "" if isinstance(error, _InvalidError) else "; correct the YAML there"
        raise RosettaError(f"{path}:{where} {problem}{remedy}") from error
    except RecursionError:
        raise RosettaError(f"{path}: nested too deeply; use fewer levels") from None


def typed_values(content: Any) -> Any:
    """Return keys and values in which texts of numbers, booleans and nulls have their types.

    Snakemake keeps the values of `--config 'neighbours={k: 3}'` as text. A text that only looks
    like a number stays text, so that checking the configuration reports its key.
    """
    if isinstance(content, dict):
        return {key: typed_values(value) for key, value in content.items()}
    if isinstance(content, list):
        return [typed_values(value) for value in content]
    if not isinstance(content, str):
        return content
    loader = _StrictLoader("")
    node = ScalarNode(loader.resolve(ScalarNode, content, (True, False)), content)
    try:
        return loader.construct_object(node) if node.tag in TYPED else content
    except _InvalidError:
        return content


def _check_size(root: Node) -> None:
    """Visit all values before any is constructed; anchors that contain themselves never end."""
    count, pending = 0, [root]
    while pending:
        node = pending.pop()
        count += 1
        if count > MAX_VALUES:
            raise _InvalidError(
                f"more than {MAX_VALUES:,} values, since an alias repeats or contains itself; "
                "write out fewer values",
                node,
            )
        if isinstance(node, MappingNode):
            pending.extend(part for pair in node.value for part in pair)
        elif not isinstance(node, ScalarNode):
            pending.extend(node.value)


def _shown(node: Node) -> str:
    text = str(node.value)
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")
