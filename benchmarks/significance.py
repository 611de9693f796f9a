"""What of a finished run is more than chance and found again, and what telling it took.

`python benchmarks/evidence.py CONFIG`.
"""

import sys
import time
from pathlib import Path

import pandas as pd
import torch

from rosetta_core import Config, load_config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.correlation.image_subsets import halves
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import activation_source

CPU = torch.device("cpu")
TRIES = 3


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    paths = RunPaths(config)
    pairs = read_table(paths.pair_significance).groupby("model")[["corr", "corr_excess"]].median()
    print("| null | | found | by chance | false | median correlation | median excess |")
    print("|---|---|---|---|---|---|---|")
    for row in read_table(paths.null_counts).itertuples():
        medians = [f"{value:.2f}" for value in pairs.loc[row.model]] if row.model else ["", ""]
        what = f"{row.what} in {row.model}" if row.model else row.what
        counts = f"{row.found:,} | {row.by_chance:,} | {row.false:.0%}"
        print(f"| {row.null} | {what} | {counts} | {' | '.join(medians)} |")
    concepts = read_table(paths.concept_significance).merge(
        read_table(paths.concepts), on="concept"
    )
    concepts = concepts.sort_values("corr_excess", ignore_index=True)
    print(f"\nConcepts with p <= 0.05: {(concepts['p_value'] <= 0.05).sum()} of {len(concepts)}")
    for title, some in (("least", concepts[:8]), ("most", concepts[:-9:-1])):
        said = [f"{c.concept} ({c.excess:.2f} of {c.mean_corr:.2f})" for c in some.itertuples()]
        print(f"{title} excess: {', '.join(said)}")
    print_replication(paths)
    print_costs(paths, cost_of_halves(config))


def print_replication(paths: RunPaths) -> None:
    pairs, concepts = read_table(paths.pair_significance), read_table(paths.concept_significance)
    width = (pairs["corr_ci_high"] - pairs["corr_ci_low"]).groupby(pairs["model"]).median()
    places = pairs.groupby("model")["peak_overlap"].median()
    print("\n| | found | in a half | found again | halves agree | interval | at one place |")
    print("|---|---|---|---|---|---|---|")
    for row in read_table(paths.split_half).itertuples():
        what = f"{row.what} in {row.model}" if row.model else row.what
        told = f"{row.found:,} | {row.in_half:,.0f} | {row.again:.0%} | {row.agreement:.0%}"
        of_pairs = f"{width[row.model]:.3f} | {places[row.model]:.0%}" if row.model else " | "
        print(f"| {what} | {told} | {of_pairs} |")
    print(f"\nConcepts with a neuron in every half: {concepts['recovered'].sum()}")
    order = concepts.sort_values("recovery_rate", kind="stable")["concept"].tolist()
    print(f"found again least: {order[:8]}")
    again = pairs.merge(read_table(paths.rosetta), on=["pivot_unit", "model", "unit"])
    print(f"pairs found again in every half: {pairs['recovered'].mean():.0%} of all, ", end="")
    print(f"{again['recovered'].mean():.0%} of the dictionary's")
    clear = pairs["p_value"] <= 0.05
    rates = [pairs.loc[some, "recovery_rate"].mean() for some in (clear, ~clear)]
    print(f"found again: {rates[0]:.0%} of the pairs with p <= 0.05, {rates[1]:.0%} of the others")


def print_costs(paths: RunPaths, halves: float) -> None:
    """What the evidence took of the CPU, beside all correlations of the run without halves."""
    costs = pd.read_csv(paths.costs, dtype={"job": str})
    taken = costs.groupby("stage")["cpu_seconds"].sum()
    plain = taken["correlations"] / halves
    stages = {stage: taken[stage] / plain for stage in ("chance", "agreement", "significance")}
    shares = stages | {"halves": halves - 1}
    said = ", ".join(f"{stage} {share:.2f}" for stage, share in shares.items())
    print(f"of the plain correlations ({plain:.0f} s of the CPU): {said}")
    print(f"in all {sum(shares.values()):.2f}")


def cost_of_halves(config: Config) -> float:
    """How long the correlations of an encoder take with halves, of the time without them."""
    pivot, encoder = (activation_source(config, model.name) for model in config.models[:2])
    seconds = [float("inf"), float("inf")]  # by number of splits
    for _ in range(TRIES):
        for splits in (0, 1):
            subsets = halves(config.sampling.images, splits=splits)
            started = time.perf_counter()
            for _ in correlate_blocks(
                pivot, [encoder], memory_budget=2**31, device=CPU, subsets=subsets
            ):
                pass
            seconds[splits] = min(seconds[splits], time.perf_counter() - started)
    return seconds[1] / seconds[0]


if __name__ == "__main__":
    main()
