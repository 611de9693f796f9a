"""Print the Rosetta units of a finished run by layer, and their selectivity.

`python benchmarks/layers.py CONFIG`, for docs/explanation/selectivity.md.
"""

import sys
from pathlib import Path

import pandas as pd

from rosetta_core import load_config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.examples.layers import vargha_delaney_table
from rosetta_core.mining.matching.concepts import rosetta_table
from rosetta_core.runs.paths import RunPaths

KEYS = ["model", "measure"]


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    paths = RunPaths(config)
    names = [model.name for model in config.models]
    units = {name: read_table(paths.units(name)) for name in names}
    within_pivot = read_table(paths.best_buddies(names[0]))
    selectivity = read_table(paths.selectivity)
    null_tables = {}
    for null in config.nulls:
        buddies = {name: read_table(paths.null_matches(null, name)) for name in names[1:]}
        rosetta = rosetta_table(buddies, within_pivot)
        table = vargha_delaney_table(units, selectivity, buddies=buddies, rosetta=rosetta)
        null_tables[null] = table.set_index(KEYS)["vargha_delaney_a"]
    heads = ["model", "measure", "A within layers", "p", "A over all layers"]
    heads += [f"A under {null}" for null in null_tables]
    print(f"| {' | '.join([*heads, 'Rosetta units', 'other units'])} |")
    print("|" + "---|" * (len(heads) + 2))
    for row in read_table(paths.vargha_delaney).itertuples():
        p = "< 0.001" if row.p_value < 1e-3 else f"{row.p_value:.3f}"
        cells = [row.model, row.measure, f"{row.vargha_delaney_a:.0%}", p]
        cells += [f"{row.vargha_delaney_a_pooled:.0%}"]
        cells += [f"{table[row.model, row.measure]:.0%}" for table in null_tables.values()]
        print(f"| {' | '.join([*cells, f'{row.rosetta:,}', f'{row.other:,}'])} |")
    heads = ["layer", "alive units", "Rosetta units", "share"]
    heads += ["selectivity", "of other units", "sparsity", "of other units"]
    print(f"\n| {' | '.join(heads)} |")
    print("|" + "---|" * len(heads))
    for row in read_table(paths.layers).itertuples():
        medians = [row.selectivity, row.selectivity_other, row.sparsity, row.sparsity_other]
        cells = ["" if pd.isna(value) else f"{value:.2f}" for value in medians]
        share = "" if pd.isna(row.rosetta_share) else f"{row.rosetta_share:.1%}"
        counts = f"{row.model} {row.layer} | {row.alive:,} | {row.rosetta:,} | {share}"
        print(f"| {counts} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
