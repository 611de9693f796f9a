"""Columns are declared once, and missing values are null in every format."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from rosetta_core.pages.dictionary.columns import TABLES, Column, Format, encode, present


def test_keys_are_unique_and_every_column_is_explained() -> None:
    for columns in TABLES.values():
        keys = [column.key for column in columns]
        assert len(set(keys)) == len(keys)
        assert all(column.label and column.tooltip for column in columns)


RANGES = {  # of the values that a statistic can have
    "mean_corr": (0, 1),  # best buddies of a positive correlation
    "corr_excess": (-1, 1),
    "recovery_rate": (0, 1),
    "size": (1, None),
}


def test_fields_of_filters_have_the_range_of_their_statistic() -> None:
    filtered = {column.key: column.filter for column in TABLES["concepts"] if column.filter}
    assert filtered.keys() == RANGES.keys()
    for key, field in filtered.items():
        low, high = RANGES[key]
        assert field.low == field.scale * low
        assert field.high == (None if high is None else field.scale * high)
        assert ("%" in field.label) == (field.scale == 100)
        if high is None:
            assert field.step == 1
        else:  # between ten and fifty steps, and the last one is at the end
            steps = (field.high - field.low) / field.step
            assert 10 <= steps <= 50 and steps == pytest.approx(round(steps))


@pytest.mark.parametrize("kind", get_args(Format))
def test_missing_is_null_and_zero_is_zero(kind: Format) -> None:
    table = pd.DataFrame({"x": [0.0, np.nan, 0.25, -0.0, np.inf]}, dtype=np.float32)
    values = encode(table, [Column("x", "x", "x", kind)])["x"]
    assert values[0] == values[3] == 0
    assert str(values[3]) in ("0", "0.0")  # no negative zero
    assert values[1] is None and values[4] is None
    assert values[2] == (0 if kind == "integer" else 0.25)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer", 1235), ("decimal2", 1234.568), ("percent", 1234.568), ("decimal3", 1234.5679),
     ("interval", 1234.5679), ("p", 1235.0), ("significant", 1235.0)],
)  # fmt: skip
def test_digits(kind: Format, value: float) -> None:
    table = pd.DataFrame({"x": [1234.56789]})
    assert encode(table, [Column("x", "x", "x", kind)]) == {"x": [value]}


def test_a_column_of_parts_reads_them() -> None:
    column = Column("ci", "CI", "interval", "interval", parts=("low", "high"))
    table = pd.DataFrame({"low": [0.1], "high": [0.2]})
    assert encode(table, [column]) == {"low": [0.1], "high": [0.2]}
    assert present(table, [column]) == [column]
    assert present(table[["low"]], [column]) == []


def test_present_columns_have_a_value() -> None:
    columns = [Column(key, key, key, "decimal2") for key in ("a", "b", "c")]
    table = pd.DataFrame({"b": [np.nan, np.nan], "a": [np.nan, 1.0]})
    assert [column.key for column in present(table, columns)] == ["a"]
    assert [column.key for column in present(table.iloc[:0], columns)] == ["a", "b"]


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(AssertionError):
        encode(pd.DataFrame({"x": [1.0]}), [Column("x", "x", "x", "wrong")])  # type: ignore[arg-type]
