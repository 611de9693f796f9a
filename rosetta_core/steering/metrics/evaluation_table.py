"""Table of an evaluation: mean metrics of each method (paper, Table 1).

Means are over images, with 95% bootstrap confidence intervals.
"""

import pandas as pd

from rosetta_core.mining.significance.bootstrap import mean_interval
from rosetta_core.steering.metrics.image_similarity import PSNR, SSIM

__all__ = [
    "DIGITS",
    "DISTRACTORS",
    "HIGHER_IS_BETTER",
    "RECOGNISED",
    "SIMILARITY",
    "evaluation_table",
    "to_markdown",
]

DISTRACTORS = 20  # random images
SIMILARITY = "similarity of all maps"  # the metric that the pairs increase
RECOGNISED = f"recognised among {DISTRACTORS} (share)"
HIGHER_IS_BETTER = (PSNR, SSIM, SIMILARITY, RECOGNISED)
DIGITS = {PSNR: 2, RECOGNISED: 2}  # decimals; other metrics have three


def evaluation_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each metric over the images, by method.

    Args:
        metrics: item, method, restart, best, metric, value; the best restart of each item counts.

    Returns:
        method, metric, mean, ci_low, ci_high, images; in the order of `metrics`. The interval is a
        95% bootstrap confidence interval of the mean.
    """
    groups = metrics[metrics["best"]].groupby(["method", "metric"], sort=False)["value"]
    rows = [
        (method, metric, values.mean(), *mean_interval(values.to_numpy()), len(values))
        for (method, metric), values in groups
    ]
    return pd.DataFrame(rows, columns=["method", "metric", "mean", "ci_low", "ci_high", "images"])


def to_markdown(table: pd.DataFrame, *, note: str) -> str:
    """Return the table in Markdown, one row per method and one column per metric.

    An arrow shows which direction of a metric is better. The best mean of a column is bold, and so
    is every mean with the same digits.

    Args:
        table: table of an evaluation.
        note: line below the table.
    """
    columns = []
    for metric, rows in table.groupby("metric", sort=False):
        higher = metric in HIGHER_IS_BETTER
        digits = DIGITS.get(str(metric), 3)
        best = rows["mean"].max() if higher else rows["mean"].min()
        column = {"": f"{metric} {'↑' if higher else '↓'}"}
        for row in rows.itertuples():
            mean, low, high, top = (
                f"{x:.{digits}f}" for x in (row.mean, row.ci_low, row.ci_high, best)
            )
            column[row.method] = f"{f'**{mean}**' if mean == top else mean} [{low}, {high}]"
        columns.append(column)
    lines = [[method, *(column[method] for column in columns)] for method in columns[0]]
    lines.insert(1, [":---", *("---:" for _ in columns)])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{note}\n"
