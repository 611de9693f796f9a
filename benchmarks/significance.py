"""Print the significance of the matches of a finished run, and the CPU time it took.

`python benchmarks/significance.py CONFIG`, for docs/explanation/significance.md.
"""

import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from rosetta_core import Config, load_config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.correlation.image_subsets import split_half_subsets
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import activation_source

CPU = torch.device("cpu")
TRIES = 3


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    paths = RunPaths(config)
    pairs = read_table(paths.pair_significance).groupby("model")[["corr", "corr_excess"]].median()
    print("| null model | | observed | null | FDR | median correlation | median excess |")
    print("|---|---|---|---|---|---|---|")
    for row in read_table(paths.null_counts).itertuples():
        medians = [f"{value:.2f}" for value in pairs.loc[row.model]] if row.model else ["", ""]
        counts = f"{row.n_observed:,} | {row.n_null:,} | {row.fdr:.0%}"
        print(f"| {row.null} | {level(row)} | {counts} | {' | '.join(medians)} |")
    concepts = read_table(paths.concept_significance).merge(
        read_table(paths.concepts), on="concept"
    )
    concepts = concepts.sort_values("corr_excess", ignore_index=True)
    print(f"\nConcepts with p ≤ 0.05: {(concepts['p_value'] <= 0.05).sum()} of {len(concepts)}")
    for title, rows in (("smallest", concepts[:8]), ("largest", concepts[:-9:-1])):
        excess = [
            f"{c.concept} ({c.corr_excess:.2f} of {c.mean_corr:.2f})" for c in rows.itertuples()
        ]
        print(f"{title} excess: {', '.join(excess)}")
    print_recovery(paths)
    print_costs(paths, cost_of_halves(config))


def level(row: Any) -> str:
    """The level of a row of counts, with its encoder."""
    return f"{row.level} with {row.model}" if row.model else row.level


def print_recovery(paths: RunPaths) -> None:
    """Print split-half counts, widths of confidence intervals, and peak overlap."""
    pairs, concepts = read_table(paths.pair_significance), read_table(paths.concept_significance)
    width = (pairs["corr_ci_high"] - pairs["corr_ci_low"]).groupby(pairs["model"]).median()
    overlap = pairs.groupby("model")["peak_overlap"].median()
    print(
        "\n| | observed | in a half | recovery rate | agreement | width of 95% CI | peak overlap |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in read_table(paths.split_half).itertuples():
        counts = f"{row.n_observed:,} | {row.n_half:,.0f} | {row.recovery_rate:.0%} | "
        counts += f"{row.agreement:.0%}"
        medians = f"{width[row.model]:.3f} | {overlap[row.model]:.0%}" if row.model else " | "
        print(f"| {level(row)} | {counts} | {medians} |")
    print(f"\nConcepts with a neuron in every half: {concepts['recovered'].sum()}")
    order = concepts.sort_values("recovery_rate", kind="stable")["concept"].tolist()
    print(f"Lowest recovery rates: {order[:8]}")
    rosetta = pairs.merge(read_table(paths.rosetta), on=["pivot_unit", "model", "unit"])
    print(f"Pairs recovered in every half: {pairs['recovered'].mean():.0%} of all, ", end="")
    print(f"{rosetta['recovered'].mean():.0%} of the dictionary's")
    significant = pairs["p_value"] <= 0.05
    rates = [pairs.loc[rows, "recovery_rate"].mean() for rows in (significant, ~significant)]
    print(f"Recovery rates: {rates[0]:.0%} of pairs with p ≤ 0.05, {rates[1]:.0%} of all others")


def print_costs(paths: RunPaths, halves: float) -> None:
    """Print the CPU time of each analysis, relative to the correlations without halves."""
    costs = pd.read_csv(paths.costs, dtype={"job": str})
    seconds = costs.groupby("stage")["cpu_seconds"].sum()
    plain = seconds["correlations"] / halves
    names = ("null_models", "pair_statistics", "significance")
    shares = {name: seconds[name] / plain for name in names} | {"halves": halves - 1}
    texts = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    print(f"Relative to the correlations without halves ({plain:.0f} s of CPU time): {texts}")
    print(f"Sum: {sum(shares.values()):.2f}")


def cost_of_halves(config: Config) -> float:
    """Return the time of an encoder's correlations with halves over that without."""
    pivot, encoder = (activation_source(config, model.name) for model in config.models[:2])
    seconds = [float("inf"), float("inf")]  # by number of splits
    for _ in range(TRIES):
        for splits in (0, 1):
            subsets = split_half_subsets(config.sampling.images, splits=splits)
            started = time.perf_counter()
            for _ in correlate_blocks(
                pivot, [encoder], memory_budget=2**31, device=CPU, subsets=subsets
            ):
                pass
            seconds[splits] = min(seconds[splits], time.perf_counter() - started)
    return seconds[1] / seconds[0]


if __name__ == "__main__":
    main()
