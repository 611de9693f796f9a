"""YAML files, read strictly: what is ambiguous or without end is an error of one line.

read_yaml      what a file holds
typed_texts    what Snakemake's command line gives, which leaves texts, as a file would have it
"""

from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rosetta_core.errors import RosettaError

__all__ = ["read_yaml", "typed_values"]

MOST = 100_000  # values, each alias counted as what it stands for
SHOWN = 40  # characters of a value
TYPED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "null")}


class _MisfitError(ConstructorError):
    """What YAML allows and a configuration doesn't; says itself what to do."""

    def __init__(self, problem: str, node: Node) -> None:
        super().__init__(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    """Plain values alone, as SafeLoader; what it stumbles over is an error with its place."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            problem = f"{_shown(node)} is no {kind}; quote it if it is a text"
            raise _MisfitError(problem, node) from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds, no keys if it is empty.

    Raises:
        RosettaError: it can't be read, is no YAML, has a key twice in one place, or holds more
            values than any configuration, as aliases of aliases can.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a UTF-8 text file"
        raise RosettaError(f"{path}: cannot be read: {reason}; give a YAML file") from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        _check(node, {})
        content = loader.construct_document(node)
        return {} if content is None else content
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        cure = "" if isinstance(error, _MisfitError) else "; correct the YAML there"
        raise RosettaError(f"{path}:{where} {problem}{cure}") from error
    except RecursionError:
        raise RosettaError(f"{path}: nested too deeply; no configuration is") from None


def typed_values(content: Any) -> Any:
    """Return keys and values in which numbers, truth values and nulls may be texts, as themselves.

    Of `--config 'neighbours={k: 3}'` Snakemake makes a section whose k is the text "3".
    """
    if isinstance(content, dict):
        return {key: typed_values(value) for key, value in content.items()}
    if isinstance(content, list):
        return [typed_values(value) for value in content]
    if not isinstance(content, str):
        return content
    loader = _Loader("")
    node = ScalarNode(loader.resolve(ScalarNode, content, (True, False)), content)
    try:
        return loader.construct_object(node) if node.tag in TYPED else content
    except _MisfitError:  # like a number, and none: what checks the configuration says where
        return content


def _check(node: Node, sizes: dict[int, int | None]) -> int:
    """Count the values in a node; an error if a key stands there twice, or if they have no end."""
    known = sizes.get(id(node), 0)
    if known is None:
        raise _MisfitError("this anchor holds itself; write out what it stands for", node)
    if known:
        return known
    sizes[id(node)] = None  # under way
    parts: list[Node] = []
    if isinstance(node, MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, SequenceNode):
        parts = node.value
    size = 1 + sum(_check(part, sizes) for part in parts)
    if size > MOST:
        raise _MisfitError(f"more than {MOST:,} values, as aliases of aliases; write fewer", node)
    sizes[id(node)] = size
    return size


def _check_keys(node: MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, ScalarNode):
            if (key.tag, key.value) in seen:
                problem = f"the key {_shown(key)} stands here a second time; leave one out"
                raise _MisfitError(problem, key)
            seen.add((key.tag, key.value))


def _shown(node: Node) -> str:
    text = str(node.value)
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
