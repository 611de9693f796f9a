"""What of a finished run is more than chance, and what telling it took.

`python benchmarks/evidence.py CONFIG`.
"""

import sys
from pathlib import Path

import pandas as pd

from rosetta_core import load_config
from rosetta_core.paths import RunPaths
from rosetta_core.tables import read_table


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    paths = RunPaths(config)
    pairs = read_table(paths.pair_evidence).groupby("model")[["corr", "excess"]].median()
    print("| null | | found | by chance | false | median correlation | median excess |")
    print("|---|---|---|---|---|---|---|")
    for row in read_table(paths.chance_counts).itertuples():
        medians = [f"{value:.2f}" for value in pairs.loc[row.model]] if row.model else ["", ""]
        what = f"{row.what} in {row.model}" if row.model else row.what
        counts = f"{row.found:,} | {row.by_chance:,} | {row.false:.0%}"
        print(f"| {row.null} | {what} | {counts} | {' | '.join(medians)} |")
    concepts = read_table(paths.concept_evidence).merge(read_table(paths.concepts), on="concept")
    concepts = concepts.sort_values("excess", ignore_index=True)
    print(f"\nConcepts with p <= 0.05: {(concepts['p_value'] <= 0.05).sum()} of {len(concepts)}")
    for title, some in (("least", concepts[:8]), ("most", concepts[:-9:-1])):
        said = [f"{c.concept} ({c.excess:.2f} of {c.mean_corr:.2f})" for c in some.itertuples()]
        print(f"{title} excess: {', '.join(said)}")
    costs = pd.read_csv(paths.costs, dtype={"job": str})
    plain = costs[(costs["stage"] == "correlations") & (costs["job"] != paths.pivot)]
    for column in ("seconds", "cpu_seconds"):
        ratio = costs.loc[costs["stage"] == "chance", column].sum() / plain[column].sum()
        print(f"{column} of the nulls: {ratio:.2f} of the correlations")


if __name__ == "__main__":
    main()
