"""Checks of a run's tables: columns, their types, and the units and models that they name.

A table may carry valid checksums and still not be of its run: it may come from others. The columns
are those of docs/reference/tables-and-stores.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths

__all__ = ["check_columns", "check_units", "table_kinds"]

# kinds of columns: integers, floats, texts, booleans, lists of integers
BUDDIES = {"pivot_unit": "i", "unit": "i", "corr": "f", "pivot_rank": "i", "unit_rank": "i"}
PAIR = {"pivot_unit": "i", "model": "s", "unit": "i"}
NULL_CORR = {"pivot_unit": "i", "unit": "i", "corr": "f", "null_corr": "f"}
SIGNIFICANCE = {"corr_excess": "f", "p_value": "f", "recovery_rate": "f", "recovered": "b"}
COLUMNS: dict[str, dict[str, str]] = {
    "units": {
        **{"unit": "i", "layer": "s", "channel": "i", "height": "i", "width": "i"},
        **{"mean": "f", "std": "f", "alive": "b"},
    },
    "neighbours": {"side": "s", "unit": "i", "rank": "i", "neighbour": "i", "corr": "f"},
    "best_buddies": BUDDIES,
    "rosetta": {**PAIR, "corr": "f", "concept": "i"},
    "concepts": {
        **{"concept": "i", "size": "i", "pivot_units": "l", "mean_corr": "f", "min_corr": "f"}
    },
    "null_matches": {**BUDDIES, "null_corr": "f"},
    "null_corr": NULL_CORR,
    "pair_statistics": {**PAIR, "corr_ci_low": "f", "corr_ci_high": "f", "peak_overlap": "f"},
    "pair_significance": {
        **{**PAIR, "corr": "f", **SIGNIFICANCE},
        **{"corr_ci_low": "f", "corr_ci_high": "f", "peak_overlap": "f"},
    },
    "concept_significance": {"concept": "i", **SIGNIFICANCE, "peak_overlap": "f"},
    "null_counts": {
        **{"null": "s", "level": "s", "model": "s", "n_observed": "i", "n_null": "i", "fdr": "f"}
    },
    "split_half": {
        **{"level": "s", "model": "s", "n_observed": "i", "n_half": "f"},
        **{"recovery_rate": "f", "agreement": "f"},
    },
    "selectivity": {"model": "s", "unit": "i", "sparsity": "f", "selectivity": "f"},
    "layers": {
        **{"model": "s", "layer": "s", "depth": "i", "units": "i", "alive": "i", "matched": "i"},
        **{"rosetta": "i", "rosetta_share": "f", "sparsity": "f", "sparsity_other": "f"},
        **{"selectivity": "f", "selectivity_other": "f"},
    },
    "vargha_delaney": {
        **{"model": "s", "measure": "s", "rosetta": "i", "other": "i", "vargha_delaney_a": "f"},
        **{"p_value": "f", "vargha_delaney_a_pooled": "f"},
    },
}
COUNTS = ("null_counts", "split_half")  # tables with rows of no model
KIND_NAMES = {"i": "integers", "f": "floats", "s": "texts", "b": "booleans", "l": "lists"}
MAX_SIDE = 2**31


def table_kinds(config: Config) -> dict[Path, tuple[str, str]]:
    """Return by path the kind and the model of every table of a run; "" for all models."""
    paths, pivot = RunPaths(config), config.pivot.name
    kinds = {
        paths.rosetta: ("rosetta", ""),
        paths.concepts: ("concepts", ""),
        paths.pair_statistics: ("pair_statistics", ""),
        paths.pair_significance: ("pair_significance", ""),
        paths.concept_significance: ("concept_significance", ""),
        paths.null_counts: ("null_counts", ""),
        paths.split_half: ("split_half", ""),
        paths.selectivity: ("selectivity", ""),
        paths.layers: ("layers", ""),
        paths.vargha_delaney: ("vargha_delaney", ""),
    }
    for model in config.models:
        kinds[paths.units(model.name)] = ("units", model.name)
        kinds[paths.neighbours(model.name)] = ("neighbours", model.name)
        kinds[paths.best_buddies(model.name)] = ("best_buddies", model.name)
        for null in config.nulls if model.name != pivot else ():
            kinds[paths.null_matches(null, model.name)] = ("null_matches", model.name)
            kinds[paths.null_corr(null, model.name)] = ("null_corr", model.name)
    return kinds


def check_columns(path: Path, table: pd.DataFrame, *, kind: str) -> None:
    """Check the columns of a table, their types, and what can be checked without other tables.

    Args:
        path: path of the table, for errors.
        table: the table.
        kind: kind of the table, as `table_kinds` returns it.

    Raises:
        RosettaError: columns are missing, unknown or of another type, or units are not numbered.
    """
    expected = COLUMNS[kind]
    for name in table.columns:
        if name not in expected:
            raise _error(path, f"unknown column {str(name)[:40]!r}")
    for name, column_kind in expected.items():
        if name not in table.columns:
            raise _error(path, f"column {name!r} is missing")
        if not _has_kind(table[name], column_kind):
            raise _error(path, f"column {name!r} does not have {KIND_NAMES[column_kind]}")
    if kind == "units":
        if not np.array_equal(table["unit"], np.arange(len(table))) or table.empty:
            raise _error(path, "units are not numbered from 0")
        for name, least in (("channel", 0), ("height", 1), ("width", 1)):
            if not table[name].between(least, MAX_SIDE).all():
                raise _error(path, f"column {name!r} has values below {least}")
    if kind == "neighbours" and not table["side"].isin(("pivot", "encoder")).all():
        raise _error(path, "column 'side' has other values than pivot and encoder")
    if kind == "concepts" and not np.array_equal(table["concept"], np.arange(len(table))):
        raise _error(path, "concepts are not numbered from 0")


def check_units(
    tables: Mapping[Path, pd.DataFrame],
    kinds: Mapping[Path, tuple[str, str]],
    *,
    models: Sequence[str],
) -> Iterator[tuple[Path, RosettaError]]:
    """Yield the tables that name a model, a unit or a concept that the run does not have.

    Each comes with an error.

    Args:
        tables: tables by path, whose columns were checked; others may be missing.
        kinds: kind and model by path.
        models: names of the models, the pivot first.
    """
    units = {
        model: len(tables[path])
        for path, (kind, model) in kinds.items()
        if kind == "units" and path in tables
    }
    if len(units) < len(models):  # a table of units is missing or damaged
        return
    concepts = next(
        (len(tables[path]) for path in kinds if path in tables and kinds[path][0] == "concepts"),
        MAX_SIDE,
    )
    for path, table in tables.items():
        kind, model = kinds[path]
        unknown = _unknown_models(table, units) if kind not in COUNTS else []
        if unknown:
            yield path, _error(path, f"unknown model {str(unknown[0])[:40]!r}")
            continue
        limits = _limits(table, kind, units, pivot=models[0], model=model, concepts=concepts)
        for column, limit in limits.items():
            if not ((table[column] >= 0) & (table[column] < limit)).all():
                named = "concepts" if column == "concept" else "units"
                yield path, _error(path, f"column {column!r} names {named} that the run lacks")
                break
        if kind == "concepts":
            members = [unit for row in table["pivot_units"] for unit in row]
            if members and not 0 <= min(members) <= max(members) < units[models[0]]:
                yield path, _error(path, "column 'pivot_units' names units that the run lacks")
        if kind == "rosetta" and concepts < MAX_SIDE and table["concept"].nunique() < concepts:
            yield path, _error(path, f"{concepts} concepts, of which some have no rows")


def _unknown_models(table: pd.DataFrame, units: Mapping[str, int]) -> list[str]:
    return [name for name in table.get("model", pd.Series()).unique() if name not in units]


def _limits(
    table: pd.DataFrame,
    kind: str,
    units: Mapping[str, int],
    *,
    pivot: str,
    model: str,
    concepts: int,
) -> dict[str, Any]:
    """Return by column the number below which its values lie, for all rows or for each."""
    limits: dict[str, Any] = {}
    if kind == "neighbours":
        of_pivot = table["side"] == "pivot"
        limits["unit"] = np.where(of_pivot, units[pivot], units[model])
        limits["neighbour"] = np.where(of_pivot, units[model], units[pivot])
        return limits
    if "pivot_unit" in table:
        limits["pivot_unit"] = units[pivot]
    if "unit" in table:
        limits["unit"] = table["model"].map(units) if "model" in table else units[model]
    if "concept" in table:
        limits["concept"] = concepts
    return limits


def _has_kind(column: pd.Series, kind: str) -> bool:
    if column.empty:  # an empty column of texts has no type
        return True
    tests: dict[str, Callable[[pd.Series], bool]] = {
        "i": pd.api.types.is_integer_dtype,
        "f": pd.api.types.is_float_dtype,
        "b": pd.api.types.is_bool_dtype,
        "s": lambda values: all(isinstance(value, str) for value in values),
        "l": lambda values: all(isinstance(value, np.ndarray) for value in values),
    }
    if kind != "b" and pd.api.types.is_bool_dtype(column):
        return False
    return tests[kind](column)


def _error(path: Path, problem: str) -> RosettaError:
    return RosettaError(f"{path}: {problem}; delete it and run again")
