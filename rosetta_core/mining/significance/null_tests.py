"""What chance gives, and how far what was found exceeds it.

excess             what a pair correlates more than is left of it under a null
p_values           how often chance gives as much
clear              best buddies that exceed it
pair_significance      excess and p-value of every pair of best buddies
concept_significance   the same of every concept
null_counts      how many best buddies, Rosetta neurons and concepts chance gives

A null is drawn twice (`nulls`, `draws`). The first draw is mined as the run is: each encoder's best
buddies with the pivot, then the pivot units that have one in every encoder, joined by the pivot's
own best buddies. That is chance. The second draw tells what is left of a pair, for the run's pairs
and for chance's alike. So chance's pairs have been chosen for being the best, as the run's have;
and where two units agree on all images, as at a border, both have little excess.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.matching.concepts import rosetta_neurons, rosetta_table

__all__ = [
    "clear",
    "concept_significance",
    "excess",
    "null_counts",
    "p_values",
    "pair_significance",
]

CLEAR = 0.05  # p-value up to which a pair is
KEYS = ["pivot_unit", "model", "unit"]
# by encoder its best buddies with the pivot, with `left`: what is left of their correlation
Buddies = Mapping[str, pd.DataFrame]


def excess(pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Return what pairs correlate more than is left of them under a null (n,)."""
    return (pairs["corr"].astype(np.float64) - pairs["null_corr"].astype(np.float64)).to_numpy()


def p_values(found: NDArray, chance: NDArray) -> NDArray[np.float64]:
    """Return for each value found (n,) how often chance gives as much.

    p = (1 + how many of chance's values are as high) / (1 + how many there are), so that none is 0
    (Phipson and Smyth, 2010).
    """
    ranked = np.sort(np.asarray(chance, dtype=np.float64))
    as_high = len(ranked) - np.searchsorted(ranked, np.asarray(found, np.float64), side="left")
    return (1 + as_high) / (1 + len(ranked))


def clear(pairs: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """Return the best buddies whose excess hardly any of chance's has (p <= 0.05)."""
    return pairs[p_values(excess(pairs), excess(chance)) <= CLEAR]


def pair_significance(held: Mapping[str, Buddies], chance: Mapping[str, Buddies]) -> pd.DataFrame:
    """Return pivot_unit, model, unit, corr, excess, p_value of every pair of best buddies.

    The p-value tells how often best buddies of a null have as much excess. Of several nulls the
    least excess counts, and the highest p-value.

    Args:
        held: by null the run's best buddies, with what is left of them.
        chance: by null those that it gives.
    """
    tables = []
    for model in next(iter(held.values())):
        pairs = next(iter(held.values()))[model]
        most, p_value = np.full(len(pairs), np.inf), np.zeros(len(pairs))
        for null, buddies in held.items():
            exceeds = excess(buddies[model])
            most = np.minimum(most, exceeds)
            p_value = np.maximum(p_value, p_values(exceeds, excess(chance[null][model])))
        found = pairs[["pivot_unit", "unit", "corr"]].assign(model=model)
        found["corr_excess"], found["p_value"] = most.astype(np.float32), p_value.astype(np.float32)
        tables.append(found)
    return pd.concat(tables, ignore_index=True)[[*KEYS, "corr", "corr_excess", "p_value"]]


def concept_significance(
    rosetta: pd.DataFrame, pairs: pd.DataFrame, chance: Mapping[str, Buddies], own: pd.DataFrame
) -> pd.DataFrame:
    """Return concept, excess, p_value of every concept.

    Excess is the mean over its pairs; the p-value tells how often concepts that a null gives have
    as much.

    Args:
        rosetta: the table of Rosetta neurons.
        pairs: as `pair_significance` returns them.
        chance: by null the best buddies that it gives.
        own: the pivot's best buddies with itself.
    """
    known = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    mean = known.groupby("concept")["corr_excess"].mean()
    p_value = np.zeros(len(mean))
    for buddies in chance.values():
        p_value = np.maximum(p_value, p_values(mean.to_numpy(), _of_concepts(buddies, own)))
    return pd.DataFrame(
        {
            "concept": mean.index.to_numpy(dtype=np.int32),
            "corr_excess": mean.to_numpy(dtype=np.float32),
            "p_value": p_value.astype(np.float32),
        }
    )


def _of_concepts(buddies: Buddies, own: pd.DataFrame) -> NDArray[np.float64]:
    """The mean excess of the concepts that best buddies make."""
    rosetta = rosetta_table(buddies, own)
    pairs = pd.concat([table.assign(model=model) for model, table in buddies.items()])
    known = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    return (
        known.assign(corr_excess=excess(known)).groupby("concept")["corr_excess"].mean().to_numpy()
    )


def null_counts(
    held: Mapping[str, Buddies], chance: Mapping[str, Buddies], own: pd.DataFrame
) -> pd.DataFrame:
    """Return null, what, model, found, by_chance, false.

    One row for each null and encoder's best buddies, and one for Rosetta neurons and concepts each,
    whose model is empty. `by_chance` is what the null alone gives. `false` estimates which share of
    what was found is chance's: of best buddies those that aren't clear, and as many of the clear
    ones as have p <= 0.05 by chance (Storey, 2002); of Rosetta neurons those that have no clear
    buddy in some encoder; of concepts those without any other neuron.

    Args:
        held: by null the run's best buddies, with what is left of them.
        chance: by null those that it gives.
        own: the pivot's best buddies with itself.
    """
    rows = []
    for null, buddies in held.items():
        given = chance[null]
        sure = {model: clear(pairs, given[model]) for model, pairs in buddies.items()}
        for model, pairs in buddies.items():
            false = (len(pairs) - len(sure[model])) / (1 - CLEAR)
            rows.append((null, "best buddies", model, len(pairs), len(given[model]), false))
        found, alone = (rosetta_table(some, own) for some in (buddies, given))
        clear_ones = found["pivot_unit"].isin(rosetta_neurons(sure))
        for what, column in (("Rosetta neurons", "pivot_unit"), ("concepts", "concept")):
            count = found[column].nunique()
            false = count - found.loc[clear_ones, column].nunique()
            rows.append((null, what, "", count, alone[column].nunique(), false))
    table = pd.DataFrame(rows, columns=["null", "level", "model", "n_observed", "n_null", "fdr"])
    share = table["fdr"] / table["n_observed"].where(table["n_observed"] > 0)
    return table.assign(fdr=share.clip(upper=1.0))
