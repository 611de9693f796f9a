"""Counts and split-half agreement of matches by number of images, K and number of encoders."""

from collections.abc import Callable, Sequence

import pandas as pd

from rosetta_core.mining.significance.split_half import MatchSet, split_half_counts

__all__ = ["sweep_table"]

COLUMNS = {"best_buddies": "best buddies", "neurons": "Rosetta neurons", "concepts": "concepts"}


def sweep_table(
    mine: Callable[[int, int], MatchSet],
    *,
    images: Sequence[int],
    k: Sequence[int],
    encoders: Sequence[str],
) -> pd.DataFrame:
    """Count the matches of every combination of images, K and encoders.

    Args:
        mine: returns the matches of a subset of the images with a K. The subsets are numbered as
            in `image_subsets.firsts`: 3i are the first `images[i]` images, 3i + 1 and 3i + 2 their
            halves.
        images: numbers of images.
        k: numbers of mutual nearest neighbours.
        encoders: names of the encoders; m encoders are the first m of them.

    Returns:
        Columns images, k, encoders, best_buddies (with all m encoders together), neurons, concepts,
        and best_buddies_agreement (mean over the encoders), neurons_agreement,
        concepts_agreement: split-half agreement, see `split_half_counts`.
    """
    rows = []
    for number, count in enumerate(images):
        for neighbours in k:
            match_sets = [mine(3 * number + part, neighbours) for part in range(3)]
            for used in range(1, len(encoders) + 1):
                run, *halves = (
                    MatchSet({name: m.buddies[name] for name in encoders[:used]}, m.within_pivot)
                    for m in match_sets
                )
                levels = split_half_counts(run, halves).groupby("level")
                counts, agreement = levels["n_observed"].sum(), levels["agreement"].mean()
                row = {"images": count, "k": neighbours, "encoders": used}
                for column, level in COLUMNS.items():
                    row |= {column: counts[level], f"{column}_agreement": agreement[level]}
                rows.append(row)
    names = ["images", "k", "encoders", *COLUMNS, *(f"{column}_agreement" for column in COLUMNS)]
    return pd.DataFrame(rows)[names]
