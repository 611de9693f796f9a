"""Figure of a sweep: counts and agreement against images, K and encoders."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rosetta_core.drawing.canvas import NotebookFigure

__all__ = ["sweep_figure"]

# colours of Okabe and Ito (2008), distinct to colour-blind readers; markers differ in grey too
LEVELS = {
    "neurons": ("Rosetta neurons", "#0072b2", "o"),
    "concepts": ("concepts", "#d55e00", "s"),
    "best_buddies": ("best buddies", "#009e73", "^"),
}
AXES = {"images": "images", "k": "K", "encoders": "encoders"}


def sweep_figure(table: pd.DataFrame, *, k: int) -> Figure:
    """Draw a sweep, one column of panels per axis.

    Along each axis the other two are fixed: at all images, at all encoders, at the K nearest to
    that of the run.

    Args:
        table: table of the sweep, as `mining.significance.sweep` computes it.
        k: K of the run.
    """
    tried = table["k"].unique()
    fixed = {
        "images": table["images"].max(),
        "encoders": table["encoders"].max(),
        "k": tried[np.abs(tried - k).argmin()],
    }
    figure = NotebookFigure(figsize=(9, 5), dpi=200, facecolor="white", layout="constrained")
    axes = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    for column, (key, name) in enumerate(AXES.items()):
        others = [other for other in AXES if other != key]
        rows = table[np.logical_and.reduce([table[other] == fixed[other] for other in others])]
        title = ", ".join(f"{AXES[other]} = {fixed[other]}" for other in others)
        counts, agreement = axes[:, column]
        counts.set_title(title, fontsize=8, color="#444444")
        for level, (label, colour, marker) in LEVELS.items():
            style = {"color": colour, "marker": marker, "markersize": 4, "label": label}
            if level != "best_buddies":  # ten times as many; only their agreement is comparable
                counts.plot(rows[key], rows[level], **style)
            agreement.plot(rows[key], rows[f"{level}_agreement"], **style)
        agreement.set_xlabel(name)
        if key == "images":
            agreement.set_xscale("log", base=2)
            agreement.set_xticks(rows[key], [f"{count:,}" for count in rows[key]])
            agreement.set_xticks([], minor=True)
        else:
            agreement.xaxis.set_major_locator(MaxNLocator(integer=True))
        for one in (counts, agreement):
            one.spines[["top", "right"]].set_visible(False)
            one.grid(color="#dddddd", linewidth=0.5)
            one.tick_params(labelsize=8)
    axes[0, 0].set_ylabel("count")
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylabel("split-half agreement")
    axes[1, 0].set_ylim(0, 1)
    axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[1, -1].legend(frameon=False, fontsize=8)
    return figure
