"""The table of an evaluation: how well each method finds images again (paper, Table 1).

SIMILARITY   the metric that the matches raise
RECOGNISED   the metric that says whether a target is told from others
DISTRACTORS  from how many
table_of     means over the images, with their intervals
markdown     the same in Markdown
"""

import pandas as pd

from rosetta_core.mining.significance.bootstrap import mean_interval

__all__ = ["DISTRACTORS", "RECOGNISED", "SIMILARITY", "markdown", "table_of"]

DISTRACTORS = 20
SIMILARITY = "similarity of all maps"
RECOGNISED = f"recognised among {DISTRACTORS} (share)"
HIGHER_IS_BETTER = ("PSNR (dB)", "SSIM", SIMILARITY, RECOGNISED)
DIGITS = {"PSNR (dB)": 2, RECOGNISED: 2}  # of the others three


def table_of(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the images, with their intervals.

    Args:
        metrics: item, method, start, best, metric, value; of an item its best start counts.

    Returns:
        method, metric, mean, low, high, images; in the order in which the metrics name them. The
        interval of the mean is the bootstrap's, at 95%.
    """
    groups = metrics[metrics["best"]].groupby(["method", "metric"], sort=False)["value"]
    rows = [
        (method, metric, values.mean(), *mean_interval(values.to_numpy()), len(values))
        for (method, metric), values in groups
    ]
    return pd.DataFrame(rows, columns=["method", "metric", "mean", "low", "high", "images"])


def markdown(table: pd.DataFrame, *, note: str) -> str:
    """Return the table in Markdown: a row for each method, means with their intervals.

    An arrow says which way a metric is better. The best mean is bold, and so are those that read
    the same.

    Args:
        table: of an evaluation.
        note: a line below it.
    """
    columns = []
    for metric, rows in table.groupby("metric", sort=False):
        higher = metric in HIGHER_IS_BETTER
        digits = DIGITS.get(str(metric), 3)
        best = rows["mean"].max() if higher else rows["mean"].min()
        column = {"": f"{metric} {'↑' if higher else '↓'}"}
        for row in rows.itertuples():
            mean, low, high, top = (f"{x:.{digits}f}" for x in (row.mean, row.low, row.high, best))
            column[row.method] = f"{f'**{mean}**' if mean == top else mean} [{low}, {high}]"
        columns.append(column)
    lines = [[method, *(column[method] for column in columns)] for method in columns[0]]
    lines.insert(1, [":---", *("---:" for _ in columns)])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{note}\n"
