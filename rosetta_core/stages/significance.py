"""The stage that computes excess correlation, p-values, FDR and recovery rates."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.match_sets import read_match_set
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage

__all__ = ["STAGE", "run"]


def run(config: Config) -> list[Path]:
    """Write the significance tables of pairs, concepts, null counts and split halves."""
    from rosetta_core.mining.significance import null_tests, split_half
    from rosetta_core.mining.significance.tables import (
        join_concept_significance,
        join_pair_significance,
    )

    paths = RunPaths(config)
    names = [encoder.name for encoder in config.encoders]
    run = split_half.MatchSet(
        {name: read_table(paths.best_buddies(name)) for name in names},
        read_table(paths.best_buddies(config.pivot.name)),
    )
    rosetta, pair_tables, concept_tables = read_table(paths.rosetta), [], []
    if config.nulls:
        null_matches = {
            null: {name: read_table(paths.null_matches(null, name)) for name in names}
            for null in config.nulls
        }
        null_corr = {
            null: {name: read_table(paths.null_corr(null, name)) for name in names}
            for null in config.nulls
        }
        excess = null_tests.pair_significance(null_corr, null_matches)
        pair_tables.append(excess)
        concept_tables.append(
            null_tests.concept_significance(rosetta, excess, null_matches, run.within_pivot)
        )
        counts = null_tests.null_counts(null_corr, null_matches, run.within_pivot)
        write_table(counts, paths.null_counts)
    if config.splits:
        halves = [
            read_match_set(config, paths.correlations, k=config.neighbours.k, subset=subset)
            for subset in range(2 * config.splits)
        ]
        pair_tables.append(split_half.pair_recovery(run, halves))
        concept_tables.append(split_half.concept_recovery(run, halves))
        write_table(split_half.split_half_counts(run, halves), paths.split_half)
    if config.intervals:
        pair_tables.append(read_table(paths.pair_statistics))
    pairs = join_pair_significance(run.buddies, pair_tables)
    write_table(pairs, paths.pair_significance)
    write_table(
        join_concept_significance(rosetta, pairs, concept_tables), paths.concept_significance
    )
    return paths.significance


STAGE = Stage(
    "significance",
    "compute excess correlation, p-values, FDR and recovery rates",
    run,
    jobs=lambda config: [{}] if config.has_significance else [],
    settings=lambda config: [
        [encoder.name for encoder in config.encoders],
        *(config.nulls, config.splits, config.intervals, config.neighbours.k),
    ],
    writes=lambda paths, job: paths.significance,
    cost=lambda run: run.cost(memory=run.PROCESS, seconds=run.START),
    single_core=True,
)
