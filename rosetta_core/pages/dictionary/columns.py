"""Registry of the statistics on the pages: key, label, tooltip and format.

A column is declared once, here. Its key is the column of the run's table and the key in the page's
data; label, tooltip and format reach the browser with `data/index.js`, where they make the columns
of tables, the order and the filters of the gallery. A column that a run does not have, or that is
missing in all rows, is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rosetta_core.pages.data_files import rounded, significant

__all__ = ["TABLES", "Column", "Filter", "column_data", "encode", "present"]

Format = Literal["integer", "decimal2", "decimal3", "percent", "p", "significant", "interval"]


@dataclass(frozen=True)
class Filter:
    """Filter of the gallery: concepts with a lower value are hidden.

    Attributes:
        label: text beside the field.
        low: smallest value of the field, which hides nothing.
        high: largest value of the field; None if it is unbounded.
        step: step of the field.
        scale: what a value is multiplied by in the field, for example 100 for percent.
    """

    label: str
    low: float
    high: float | None
    step: float
    scale: int = 1


@dataclass(frozen=True)
class Column:
    """A statistic on a page.

    Attributes:
        key: name of the table's column and of the values in the page's data.
        label: text in the head of a column.
        tooltip: definition, shown when the pointer is on the label.
        format: how the browser writes a value; a missing one is always "–".
        parts: columns that hold the value, where it is not a single number.
        sort: text of the gallery's order by this column; None if there is none.
        filter: filter of the gallery by this column; None if there is none.
    """

    key: str
    label: str
    tooltip: str
    format: Format
    parts: tuple[str, ...] = ()
    sort: str | None = None
    filter: Filter | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The table's columns that the value is read from."""
        return self.parts or (self.key,)


EXCESS = "mean correlation minus the correlation of the same pairs under the null model"
RECOVERY = "mean share of the concept's neurons that are recovered in half of the images"
OVERLAP = "share of images on which two maps peak within 1/8 of the image side"
MEDIAN_ROSETTA = "median over the Rosetta units of the layer"
MEDIAN_OTHER = "median over the alive units of the layer that are not Rosetta units"
N_OBSERVED = "number of matches in the run"

CONCEPTS = (
    Column(
        "mean_corr",
        "mean correlation",
        "mean of Pearson's r over the concept's best-buddy pairs",
        "decimal2",
        sort="mean correlation",
        filter=Filter("Min. correlation", 0, 1, 0.05),
    ),
    Column(
        "min_corr",
        "lowest correlation",
        "lowest Pearson's r of the concept's best-buddy pairs",
        "decimal2",
        sort="lowest correlation",
    ),
    Column(
        "corr_excess",
        "excess correlation",
        EXCESS,
        "decimal2",
        sort="excess correlation",
        filter=Filter("Min. excess correlation", -1, 1, 0.05),
    ),
    Column("p_value", "p", "share of null concepts with at least this excess correlation", "p"),
    Column(
        "recovery_rate",
        "recovery rate",
        RECOVERY,
        "percent",
        sort="recovery rate",
        filter=Filter("Min. recovery rate (%)", 0, 100, 10, scale=100),
    ),
    Column("peak_overlap", "peak overlap", f"{OVERLAP}; mean over the pairs", "percent"),
    Column(
        "size",
        "Rosetta neurons",
        "number of Rosetta neurons in the concept",
        "integer",
        sort="number of Rosetta neurons",
        filter=Filter("Min. Rosetta neurons", 1, None, 1),
    ),
)

PAIRS = (
    Column("corr", "correlation", "Pearson's r over all images and positions", "decimal3"),
    Column(
        "corr_ci",
        "95% CI",
        "bootstrap confidence interval of r over images, not corrected for selection",
        "interval",
        parts=("corr_ci_low", "corr_ci_high"),
    ),
    Column(
        "corr_excess",
        "excess",
        "correlation minus the correlation of the same pair under the null model",
        "decimal3",
    ),
    Column("p_value", "p", "share of null best buddies with at least this excess", "p"),
    Column(
        "recovery_rate",
        "recovery rate",
        "share of the halves of the images in which the pair is matched again",
        "percent",
    ),
    Column("peak_overlap", "peak overlap", OVERLAP, "percent"),
)

UNITS = (
    Column("mean", "mean", "mean activation over all images and positions", "significant"),
    Column("std", "std", "standard deviation over all images and positions", "significant"),
    Column(
        "sparsity",
        "sparsity",
        "0: responds equally at all positions of all images; 1: at a single one",
        "decimal2",
    ),
    Column(
        "selectivity",
        "selectivity",
        "0: responds equally to all images; 1: to a single one",
        "decimal2",
    ),
)

MODELS = (
    Column("layers", "layers", "number of mined layers", "integer"),
    Column("units", "units", "number of channels in the mined layers", "integer"),
    Column("dead", "dead", "units that hardly vary over the images; excluded", "integer"),
    Column("pairs", "best-buddy pairs", "pairs with units of the pivot", "integer"),
    Column("matched", "matched pivot units", "pivot units with a best buddy", "integer"),
)

LAYERS = (
    Column("units", "units", "number of channels", "integer"),
    Column("alive", "alive", "units that vary over the images", "integer"),
    Column("matched", "matched", "units with a best buddy", "integer"),
    Column("rosetta", "Rosetta units", "Rosetta neurons or their best buddies", "integer"),
    Column("rosetta_share", "share of alive", "Rosetta units among the alive units", "percent"),
    Column("selectivity", "selectivity", MEDIAN_ROSETTA, "decimal2"),
    Column("selectivity_other", "selectivity of others", MEDIAN_OTHER, "decimal2"),
    Column("sparsity", "sparsity", MEDIAN_ROSETTA, "decimal2"),
    Column("sparsity_other", "sparsity of others", MEDIAN_OTHER, "decimal2"),
)

VARGHA_DELANEY = (
    Column(
        "vargha_delaney_a",
        "Vargha–Delaney A",
        "probability that a Rosetta unit exceeds another unit of its layer; 0.5: no difference",
        "decimal2",
    ),
    Column("p_value", "p", "two-sided, stratified by layer; units taken as independent", "p"),
    Column("vargha_delaney_a_pooled", "pooled A", "A over all layers pooled", "decimal2"),
    Column("rosetta", "Rosetta units", "number of alive Rosetta units", "integer"),
    Column("other", "other units", "number of other alive units", "integer"),
)

NULL_COUNTS = (
    Column("n_observed", "observed", N_OBSERVED, "integer"),
    Column("n_null", "null count", "number of matches under the null model", "integer"),
    Column("fdr", "FDR", "estimated share of false discoveries among the observed", "percent"),
)

SPLIT_HALF = (
    Column("n_observed", "observed", N_OBSERVED, "integer"),
    Column("n_half", "in a half", "mean number of matches in half of the images", "integer"),
    Column("recovery_rate", "recovery rate", "share of the observed found in a half", "percent"),
    Column(
        "agreement",
        "split-half agreement",
        "Dice coefficient of two halves; for concepts the adjusted Rand index",
        "percent",
    ),
)

TABLES: Mapping[str, Sequence[Column]] = {
    "concepts": CONCEPTS,
    "pairs": PAIRS,
    "units": UNITS,
    "models": MODELS,
    "layers": LAYERS,
    "varghaDelaney": VARGHA_DELANEY,
    "nullCounts": NULL_COUNTS,
    "splitHalf": SPLIT_HALF,
}


def present(table: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    """Return the columns that a table has, in their order; of an empty table all it has."""
    return [
        column
        for column in columns
        if all(key in table for key in column.sources)
        and (table.empty or any(table[key].notna().any() for key in column.sources))
    ]


def encode(table: pd.DataFrame, columns: Sequence[Column]) -> dict[str, list[float | None]]:
    """Return the values of columns in the order of the table's rows, by name of the table's column.

    Values have one digit more than the page shows; a missing one is None.
    """
    return {
        key: _encode(table[key].astype(np.float64), column.format)
        for column in columns
        for key in column.sources
    }


def _encode(values: ArrayLike, kind: Format) -> list[float | None]:
    match kind:
        case "integer":
            return [None if value is None else int(value) for value in rounded(values, 0)]
        case "decimal2" | "percent":
            return rounded(values, 3)
        case "decimal3" | "interval":
            return rounded(values, 4)
        case "p" | "significant":
            return significant(values)
        case _:
            assert_never(kind)


def column_data(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return columns as the browser needs them."""
    return [
        {
            "key": column.key,
            "label": column.label,
            "tooltip": column.tooltip,
            "format": column.format,
            "parts": list(column.parts),
            "sort": column.sort,
            "filter": vars(column.filter) if column.filter else None,
        }
        for column in columns
    ]
