"""Print what pairs of finished runs share, as tables for docs/explanation/significance.md.

`python benchmarks/cross_run.py RUN_A RUN_B [RUN_A RUN_C …]`. For two runs of the same generator the
correct matches are known: concepts with Rosetta neurons in common.
"""

import sys
from pathlib import Path

import pandas as pd

from rosetta_core.mining.matching.cross_run import CrossRunMatches
from rosetta_core.runs.finished.location import run_config
from rosetta_core.stages.tools.translate import significant_rosetta, translate_runs

KEYS = ["concept_a", "concept_b"]


def main() -> None:
    runs = [Path(run) for run in sys.argv[1:]]
    results = {}
    for pair in zip(runs[::2], runs[1::2], strict=True):
        results[pair], _ = translate_runs(*pair)
    print("| runs | | observed | null |")
    print("|---|---|---|---|")
    for (a, b), matches in results.items():
        for row in matches.counts.itertuples():
            level = f"{row.level} of {row.model}" if row.model else row.level
            print(f"| {a.name}, {b.name} | {level} | {row.n_observed:,} | {row.n_null:,.1f} |")
    for (a, b), matches in results.items():
        configs = [run_config(run) for run in (a, b)]
        tables = [significant_rosetta(config) for config in configs]
        matched = [
            f"{matches.matched[key].nunique()} of {table['concept'].nunique()}"
            for key, table in zip(KEYS, tables, strict=True)
        ]
        print(f"\n{a.name}, {b.name}: {matched[0]} and {matched[1]} concepts have a match.")
        if configs[0].pivot == configs[1].pivot:
            print_identity(matches, *tables)


def print_identity(matches: CrossRunMatches, a: pd.DataFrame, b: pd.DataFrame) -> None:
    """Print how many concepts are matched with concepts of the same Rosetta neurons."""
    neurons = [table[["pivot_unit", "concept"]].drop_duplicates() for table in (a, b)]
    both = neurons[0].merge(neurons[1], on="pivot_unit", suffixes=("_a", "_b"))
    same = both.groupby(KEYS).size().rename("neurons").reset_index()
    pairs = matches.pairs.merge(same, on=KEYS, how="left").fillna({"neurons": 0})
    matched = pairs[pairs["q_value"] <= matches.matched["q_value"].max()]
    true = matched[matched["neurons"] > 0]
    best = pairs[pairs["concept_a"].isin(same["concept_a"])]
    best = best.sort_values(["jaccard"], ascending=False, kind="stable")
    best = best.drop_duplicates("concept_a")
    print(f"Rosetta neurons: {len(neurons[0])} and {len(neurons[1])}, {len(both)} in both.")
    print(f"Pairs of concepts with neurons in common: {len(same)}; matched: {len(true)}.")
    print(f"Matched pairs: {len(matched)}; with neurons in common: {len(true)}.")
    print(
        f"Concepts of the first run with such a pair: {same['concept_a'].nunique()}; the pair of "
        f"highest overlap is one for {int((best['neurons'] > 0).sum())}."
    )
    apart = ~matched["concept_a"].isin(true["concept_a"])
    apart &= ~matched["concept_b"].isin(true["concept_b"])
    print(f"Matched pairs of which neither concept has neurons in the other run: {apart.sum()}")


if __name__ == "__main__":
    main()
