"""How what is found depends on the images, on K, and on the encoders.

sweep_table    one row for each choice of the three
"""

from collections.abc import Callable, Sequence

import pandas as pd

from rosetta_core.mining.significance.split_half import MatchSet, split_half_counts

__all__ = ["sweep_table"]

COLUMNS = {"best_buddies": "best buddies", "neurons": "Rosetta neurons", "concepts": "concepts"}


def sweep_table(
    mined: Callable[[int, int], MatchSet],
    *,
    images: Sequence[int],
    k: Sequence[int],
    encoders: Sequence[str],
) -> pd.DataFrame:
    """Return images, k, encoders, best_buddies, neurons, concepts, and how far halves agree.

    The last are best_buddies_agreement, neurons_agreement and concepts_agreement, as
    `split_half_counts` defines `agreement`: between the first and the second half of these images.
    With m encoders, the first m of them are taken, in their order; best buddies are those with all
    m together, and their agreement is the mean over these encoders.

    Args:
        mined: what a subset of the images gives with a K; subsets as `subsets.firsts` numbers them.
        images: how many, by number of the choice.
        k: mutual nearest neighbours.
        encoders: their names.
    """
    rows = []
    for number, count in enumerate(images):
        for neighbours in k:
            every = [mined(3 * number + part, neighbours) for part in range(3)]
            for most in range(1, len(encoders) + 1):
                run, *halves = (
                    MatchSet({name: one.buddies[name] for name in encoders[:most]}, one.own)
                    for one in every
                )
                found = split_half_counts(run, halves).groupby("level")
                sums, means = found["n_observed"].sum(), found["agreement"].mean()
                row = {"images": count, "k": neighbours, "encoders": most}
                for key, what in COLUMNS.items():
                    row |= {key: sums[what], f"{key}_agreement": means[what]}
                rows.append(row)
    names = ["images", "k", "encoders", *COLUMNS, *(f"{key}_agreement" for key in COLUMNS)]
    return pd.DataFrame(rows)[names]
