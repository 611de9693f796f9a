"""The curve of a training.

write_losses    how every step went, as a table and as a picture
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rosetta_core.io.atomic import atomic_path
from rosetta_core.training.optimisation import Step

__all__ = ["write_losses"]

SMOOTHED = 50  # steps


def write_losses(steps: Sequence[Step], folder: Path, *, label: str) -> None:
    """Write losses.csv (step, loss, learning_rate, seconds) and losses.png into a folder."""
    table = pd.DataFrame(steps)
    table.insert(0, "step", range(1, len(steps) + 1))
    with atomic_path(folder / "losses.csv") as temporary:
        table.to_csv(temporary, index=False)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(table.step, table.loss, color="0.8", linewidth=0.5)
    smooth = table.loss.rolling(SMOOTHED, min_periods=1, center=True).mean()
    axes.plot(table.step, smooth, color="C0", linewidth=1.5)
    axes.set(xlabel="step", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(folder / "losses.png") as temporary:
        figure.savefig(temporary, format="png", dpi=150)
