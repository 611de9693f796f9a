"""Curves of a sweep, for a paper or a slide.

sweep_figure    what is found, and how far halves agree, against images, K and encoders
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

__all__ = ["sweep_figure"]

# of Okabe and Ito (2008): apart for the colour-blind, and by their marks in grey
LOOKS = {
    "neurons": ("Rosetta neurons", "#0072b2", "o"),
    "concepts": ("concepts", "#d55e00", "s"),
    "best_buddies": ("best buddies", "#009e73", "^"),
}
AXES = {"images": "images", "k": "K", "encoders": "encoders"}


def sweep_figure(table: pd.DataFrame, *, k: int) -> Figure:
    """Draw a sweep: along each axis, the others are all images, all encoders, and about this K.

    Args:
        table: as `mining.sweep.sweep_table` returns it.
        k: of the run.
    """
    tried = table["k"].unique()
    fixed = {
        "images": table["images"].max(),
        "encoders": table["encoders"].max(),
        "k": tried[np.abs(tried - k).argmin()],
    }
    figure = Figure(figsize=(9, 5), dpi=200, facecolor="white", layout="constrained")
    axes = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    for column, (key, name) in enumerate(AXES.items()):
        others = [other for other in AXES if other != key]
        rows = table[np.logical_and.reduce([table[other] == fixed[other] for other in others])]
        said = ", ".join(f"{AXES[other]} = {fixed[other]}" for other in others)
        counts, agreement = axes[:, column]
        counts.set_title(said, fontsize=8, color="#444444")
        for what, (label, colour, mark) in LOOKS.items():
            look = {"color": colour, "marker": mark, "markersize": 4, "label": label}
            if what != "best_buddies":  # ten times as many; their agreement is on the same scale
                counts.plot(rows[key], rows[what], **look)
            agreement.plot(rows[key], rows[f"{what}_agreement"], **look)
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
    axes[0, 0].set_ylabel("found")
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set_ylabel("two halves agree")
    axes[1, 0].set_ylim(0, 1)
    axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[1, -1].legend(frameon=False, fontsize=8)
    return figure
