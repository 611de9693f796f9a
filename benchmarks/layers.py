"""Which layers the Rosetta neurons of a finished run are in, and how selective they are.

`python benchmarks/layers.py CONFIG`.
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
    superiority = read_table(paths.vargha_delaney)
    names = [model.name for model in config.models]
    units = {name: read_table(paths.units(name)) for name in names}
    own, selectivity = read_table(paths.best_buddies(names[0])), read_table(paths.selectivity)
    nulls = {}
    for null in config.nulls:  # the same of those that chance gives
        buddies = {name: read_table(paths.null_matches(null, name)) for name in names[1:]}
        rosetta = rosetta_table(buddies, own)
        given = vargha_delaney_table(units, selectivity, buddies=buddies, rosetta=rosetta)
        nulls[null] = given.set_index(KEYS)["vargha_delaney_a"]
    heads = ["network", "a Rosetta unit is", "in pairs of a layer", "p", "in all pairs"]
    heads += [f"of those by chance ({null})" for null in nulls]
    print(f"| {' | '.join([*heads, 'Rosetta units', 'others'])} |")
    print("|" + "---|" * (len(heads) + 2))
    words = {"sparsity": "sparser", "selectivity": "more selective"}
    for row in superiority.itertuples():
        p = "< 0.001" if row.p_value < 1e-3 else f"{row.p_value:.3f}"
        said = [row.model, words[row.measure], f"{row.superiority:.0%}", p]
        said += [f"{row.vargha_delaney_a_pooled:.0%}"]
        said += [f"{found[row.model, row.measure]:.0%}" for found in nulls.values()]
        print(f"| {' | '.join([*said, f'{row.rosetta:,}', f'{row.other:,}'])} |")
    heads = ["layer", "living", "Rosetta units", "share"]
    heads += ["selectivity", "of others", "sparsity", "of others"]
    print(f"\n| {' | '.join(heads)} |")
    print("|" + "---|" * len(heads))
    for row in read_table(paths.layers).itertuples():
        medians = [row.selectivity, row.selectivity_other, row.sparsity, row.sparsity_other]
        said = ["" if pd.isna(value) else f"{value:.2f}" for value in medians]
        share = "" if pd.isna(row.rosetta_share) else f"{row.rosetta_share:.1%}"
        counts = f"{row.model} {row.layer} | {row.alive:,} | {row.rosetta:,} | {share}"
        print(f"| {counts} | {' | '.join(said)} |")


if __name__ == "__main__":
    main()
