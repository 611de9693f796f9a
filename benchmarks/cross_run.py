"""What pairs of finished runs share, as tables for docs/evidence.md.

`python benchmarks/translation.py RUN_A RUN_B [RUN_A RUN_C …]`. Two runs of the same generator are
held against what is known: concepts are the same where they have Rosetta neurons in common.
"""

import sys
from pathlib import Path

import pandas as pd

from rosetta_core.mining.matching.cross_run import Translation
from rosetta_core.runs.run import run_config
from rosetta_core.stages.tools.translate import beyond_chance, translate_runs

KEYS = ["concept_a", "concept_b"]


def main() -> None:
    runs = [Path(run) for run in sys.argv[1:]]
    found = {}
    for pair in zip(runs[::2], runs[1::2], strict=True):
        found[pair], _ = translate_runs(*pair)
    print("| runs | | found | by chance |")
    print("|---|---|---|---|")
    for (one, other), translation in found.items():
        for row in translation.chance.itertuples():
            what = f"{row.what} of {row.model}" if row.model else row.what
            print(f"| {one.name}, {other.name} | {what} | {row.found:,} | {row.by_chance:,.1f} |")
    for (one, other), translation in found.items():
        configs = [run_config(run) for run in (one, other)]
        tables = [beyond_chance(config) for config in configs]
        told = translation.translated
        met = [
            f"{told[key].nunique()} of {table['concept'].nunique()}"
            for key, table in zip(KEYS, tables, strict=True)
        ]
        print(f"\n{one.name}, {other.name}: {met[0]} and {met[1]} concepts have a translation.")
        if configs[0].pivot == configs[1].pivot:
            print_identity(translation, *tables)


def print_identity(translation: Translation, one: pd.DataFrame, other: pd.DataFrame) -> None:
    """How far concepts are translated to those of the same Rosetta neurons."""
    neurons = [table[["pivot_unit", "concept"]].drop_duplicates() for table in (one, other)]
    both = neurons[0].merge(neurons[1], on="pivot_unit", suffixes=("_a", "_b"))
    same = both.groupby(KEYS).size().rename("neurons").reset_index()
    pairs = translation.pairs.merge(same, on=KEYS, how="left").fillna({"neurons": 0})
    told = pairs[pairs["q_value"] <= translation.translated["q_value"].max()]
    true = told[told["neurons"] > 0]
    best = pairs[pairs["concept_a"].isin(same["concept_a"])]
    best = best.sort_values(["score"], ascending=False, kind="stable").drop_duplicates("concept_a")
    print(f"Rosetta neurons: {len(neurons[0])} and {len(neurons[1])}, {len(both)} in both.")
    print(f"Pairs of concepts with neurons in common: {len(same)}; translated: {len(true)}.")
    print(f"Translated pairs: {len(told)}; with neurons in common: {len(true)}.")
    print(
        f"Concepts of the first run with such a pair: {same['concept_a'].nunique()}; the pair of "
        f"highest score is one for {int((best['neurons'] > 0).sum())}."
    )
    alone = ~told["concept_a"].isin(true["concept_a"]) & ~told["concept_b"].isin(true["concept_b"])
    print(f"Translated pairs of which neither concept has neurons in the other's: {alone.sum()}")


if __name__ == "__main__":
    main()
