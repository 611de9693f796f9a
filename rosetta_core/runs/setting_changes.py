"""Settings that changed since the results of a run were computed.

Snakemake reruns a job when its parameters change, and prints them as JSON without names. The names
come from the resolved configuration of the previous start. If that start did not finish, some
results are older still, so changes are recorded in the folder of the run until a start finishes.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rosetta_core.config import Config, read_yaml
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.strict_json import read_json
from rosetta_core.runs.paths import RunPaths

__all__ = [
    "LOCATIONS",
    "describe_changes",
    "differing_settings",
    "record_changes",
    "setting_changes",
]

RECORD = ".changed-settings.json"
LOCATIONS = {"run", "results", "resources"}  # they name folders and change no result
MISSING = "(missing)"
MAX_SHOWN = 60  # characters of a value in a line
MAX_LINES = 12


def differing_settings(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted keys whose values differ between two configurations, and both values.

    Items of a list of sections have their names as keys.
    """
    old, new = dict(_flatten(before)), dict(_flatten(now))
    for key in [*old, *(key for key in new if key not in old)]:
        values = old.get(key, MISSING), new.get(key, MISSING)
        if values[0] != values[1]:
            yield key, *values


def _flatten(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of nested sections, joined by dots, and their values."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _flatten(value, f"{key}.{name}" if key else name)
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        for i, item in enumerate(content):
            yield from _flatten(item, f"{key}.{item.get('name', i)}")
    else:
        yield key, content


def setting_changes(config: Config) -> dict[str, tuple[Any, Any]]:
    """Return by dotted key the value that results may have been computed with, and the new value.

    Results of a run that was never started, or whose record is damaged, have no known settings.
    """
    paths, now = RunPaths(config), config.model_dump(mode="json")
    try:
        before = read_yaml(paths.config)
        earlier = read_json(paths.run / RECORD)
    except RosettaError:
        return {}
    except (OSError, ValueError):
        earlier = {}
    if not isinstance(earlier, dict):
        earlier = {}
    changes = {key: old for key, old, _ in differing_settings(before, now) if key not in LOCATIONS}
    values = dict(_flatten(now))
    return {
        key: (old, values.get(key, MISSING))
        for key, old in {**changes, **earlier}.items()
        if old != values.get(key, MISSING)
    }


def record_changes(config: Config, changes: Mapping[str, tuple[Any, Any]]) -> None:
    """Record changes until a start finishes; without changes, delete the record."""
    record = RunPaths(config).run / RECORD
    if changes:
        with atomic_path(record) as temporary:
            old_values = {key: old for key, (old, _) in changes.items()}
            temporary.write_text(json.dumps(old_values), encoding="utf-8")
    else:
        record.unlink(missing_ok=True)


def describe_changes(run: str, changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return a line for each changed setting, at most a dozen.

    Args:
        run: name of the run.
        changes: as `setting_changes` returns them.
    """
    lines = [
        f"{run}: setting changed: {key}: {_shorten(old)} → {_shorten(new)}"
        for key, (old, new) in changes.items()
    ]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"{run}: {len(lines) - MAX_LINES + 1} more settings changed"]
    return [one_line(line) for line in lines]


def _shorten(value: Any) -> str:
    text = value if value == MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
