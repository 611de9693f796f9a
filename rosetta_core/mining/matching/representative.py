"""Which units stand for a concept.

leading_units    of a concept, the Rosetta neuron with the best buddies, and those buddies
"""

import numpy as np
import pandas as pd

__all__ = ["representative_units"]


def representative_units(concept: pd.DataFrame, *, pivot: str) -> dict[str, int]:
    """Return one unit per model that stand for a concept, the pivot's first.

    The pivot's is the Rosetta neuron whose best buddies, one per encoder, correlate best on
    average; the encoders' are those buddies. Ties go to the lower unit.

    Args:
        concept: the concept's rows of the table of Rosetta neurons.
        pivot: the name of the pivot.
    """
    best = concept.sort_values(["corr", "unit"], ascending=[False, True]).drop_duplicates(
        ["pivot_unit", "model"]
    )
    strength = best.groupby("pivot_unit")["corr"].mean()
    leader = strength.index[int(np.argmax(strength.to_numpy()))]
    buddies = best[best["pivot_unit"] == leader].set_index("model")["unit"]
    order = concept["model"].drop_duplicates()
    return {pivot: int(leader), **{model: int(buddies[model]) for model in order}}
