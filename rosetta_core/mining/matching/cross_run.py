"""Concepts of two runs matched through the encoder units that both share.

Units of two generators cannot be correlated, because the generators draw different images. A unit
of an encoder, however, is the same unit on any images. Two concepts of two runs with the same
encoders are compared by the encoder units that are best buddies of Rosetta neurons of both. Their
score is the Jaccard overlap |A ∩ B| / |A ∪ B| of these units (Jaccard, 1912), computed in each
encoder and averaged over all encoders.

The null model permutes the concept memberships of the matched units within each layer of each
encoder, in both runs. Each layer keeps its number of matched units, each concept its number of
units in the layer, and units that match almost anything (hubs, Radovanović et al., 2010) remain
matched as often. Only the assignment of units to concepts is lost. Drawing random units instead
would detect hubs: any two concepts with hubs would be significant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["MAX_P_VALUE", "MAX_Q_VALUE", "CrossRunMatches", "match_concepts"]

MAX_P_VALUE = 0.05  # of a significant pair
MAX_Q_VALUE = 0.05  # of a cross-run match: expected share of false ones among them
PERMUTATIONS = 5000  # with fewer, p-values are too coarse to separate ten pairs from thousands
KEYS = ["concept_a", "concept_b"]
DIGITS = 12  # of overlaps: sums of the same terms in another order are ties


@dataclass(frozen=True)
class CrossRunMatches:
    """Concepts of two runs that share encoder units.

    Attributes:
        pairs: one row per pair of concepts that share an encoder unit, by ascending p-value:
            concept_a, concept_b, n_shared (units), n_encoders (with a shared unit),
            n_shared_by_encoder, jaccard, p_value, q_value.
        shared_units: one row per encoder unit that is a best buddy of Rosetta neurons of both
            runs, and pair of these neurons: concept_a, concept_b, model, unit, pivot_unit_a,
            pivot_unit_b, corr_a, corr_b.
        counts: observed and null counts: level, model, n_observed, n_null, excess.
    """

    pairs: pd.DataFrame
    shared_units: pd.DataFrame
    counts: pd.DataFrame

    @property
    def matched(self) -> pd.DataFrame:
        """The cross-run matches: pairs with q ≤ 0.05."""
        return self.pairs[self.pairs["q_value"] <= MAX_Q_VALUE]


def match_concepts(
    rosetta_a: pd.DataFrame,
    rosetta_b: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> CrossRunMatches:
    """Match the concepts of two runs by the encoder units that their Rosetta neurons share.

    The p-value of a pair is (1 + b) / (1 + n): in b of n permutations the pair has at least its
    observed overlap. Its q-value is the estimated share of false pairs among those with a p-value
    at most as high: their mean number in a permutation over their observed number (Storey, 2002,
    with all pairs assumed false; the p-values of permutations are counted, not assumed uniform,
    because they are coarse where few units are shared).

    Args:
        rosetta_a: table of Rosetta neurons of the first run.
        rosetta_b: table of Rosetta neurons of the second run.
        units: by shared encoder the table of its units, alive if alive in both runs. Rows of other
            encoders are ignored.
        permutations: number of permutations of the null model.
        seed: random seed of the permutations.

    Returns:
        The pairs with their p- and q-values, the shared units, and the counts.
    """
    rosetta_a, rosetta_b = (
        table[table["model"].isin(list(units))] for table in (rosetta_a, rosetta_b)
    )
    numbered = _number_units(units)
    a, b = (_Memberships(table, numbered, encoders=len(units)) for table in (rosetta_a, rosetta_b))
    pair, overlap, counts = _overlaps(a, b)
    entries = [(pair, overlap), *_permuted(a, b, permutations=permutations, seed=seed)]
    ends = np.cumsum([len(numbers) for numbers, _ in entries])[:-1]
    p_values = np.split(_p_values(entries), ends)
    observed, null = p_values[0], np.sort(np.concatenate(p_values[1:]))
    width = max(1, len(b.concepts))
    pairs = pd.DataFrame(
        {
            "concept_a": a.concepts[pair // width].astype(np.int32),
            "concept_b": b.concepts[pair % width].astype(np.int32),
            "n_shared": counts.sum(1).astype(np.int32),
            "n_encoders": (counts > 0).sum(1).astype(np.int32),
            "n_shared_by_encoder": [row.tolist() for row in counts.astype(np.int32)],
            "jaccard": overlap.astype(np.float32),
            "p_value": observed.astype(np.float32),
            "q_value": _q_values(observed, null, permutations=permutations).astype(np.float32),
        }
    )
    matched = observed[pairs["q_value"].to_numpy() <= MAX_Q_VALUE]
    significant = int((observed <= MAX_P_VALUE).sum())
    null_significant = (null <= MAX_P_VALUE).sum() / permutations
    null_matched = (null <= matched.max()).sum() / permutations if len(matched) else 0.0
    table = pd.DataFrame(
        [
            *_count_shared_units(rosetta_a, rosetta_b, units),
            ("significant pairs", "", significant, null_significant),
            ("matched pairs", "", len(matched), null_matched),
        ],
        columns=["level", "model", "n_observed", "n_null"],
    )
    by_p_value = np.lexsort((pair, -overlap, observed))
    return CrossRunMatches(
        pairs=pairs.iloc[by_p_value].reset_index(drop=True),
        shared_units=_shared_units(rosetta_a, rosetta_b),
        counts=table.assign(excess=(table["n_observed"] - table["n_null"]).clip(lower=0)),
    )


def _number_units(units: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Units of all encoders: unit, model, number of the encoder, and of the layer among all."""
    tables = []
    for encoder, (model, table) in enumerate(units.items()):
        layer = pd.factorize(table["layer"])[0]
        tables.append(table[["unit"]].assign(model=model, encoder=encoder, layer=layer))
    if not tables:
        return pd.DataFrame(columns=["unit", "model", "encoder", "layer"])
    numbered = pd.concat(tables, ignore_index=True)
    return numbered.assign(layer=numbered.groupby(["encoder", "layer"]).ngroup())


class _Memberships:
    """Membership of the encoders' units in the concepts of a run.

    Attributes:
        concepts: numbers of the concepts, ascending (C,).
        units: matched units, numbered over all encoders, by layer (U,).
        layers: layer of each matched unit, numbered over all encoders (U,).
        encoder: number of the encoder of each matched unit (U,).
        members: 1 where a unit belongs to a concept (U, C).
        sizes: number of units of each concept in each encoder (encoders, C).
    """

    def __init__(self, rosetta: pd.DataFrame, numbered: pd.DataFrame, *, encoders: int) -> None:
        numbered = numbered.assign(place=np.arange(len(numbered)))
        rows = rosetta[["model", "unit", "concept"]].drop_duplicates()
        rows = rows.merge(numbered, on=["model", "unit"], validate="many_to_one")
        rows = rows.sort_values(["layer", "place", "concept"])
        self.concepts, column = np.unique(rows["concept"].to_numpy(), return_inverse=True)
        first = ~rows["place"].duplicated().to_numpy()
        self.units = rows["place"].to_numpy()[first]
        self.layers = rows["layer"].to_numpy()[first]
        self.encoder = rows["encoder"].to_numpy(np.int64)[first]
        row = np.cumsum(first) - 1
        shape = (len(self.units), len(self.concepts))
        self.members = csr_array((np.ones(len(rows), np.int64), (row, column)), shape=shape)
        self.sizes = np.zeros((encoders, len(self.concepts)), np.int64)
        np.add.at(self.sizes, (rows["encoder"].to_numpy(np.int64), column), 1)

    def permuted(self, rng: np.random.Generator) -> csr_array:
        """Memberships (U, C) permuted among the units of each layer."""
        return self.members[np.lexsort((rng.random(len(self.units)), self.layers))]


def _overlaps(
    a: _Memberships, b: _Memberships, members: tuple[csr_array, csr_array] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Jaccard overlaps of all pairs of concepts that share units.

    Args:
        a: memberships of the first run.
        b: memberships of the second run.
        members: memberships used instead of the observed ones.

    Returns:
        Numbers of the pairs, a · concepts of b + b (P,), their mean overlaps (P,), and their
        numbers of shared units in each encoder (P, encoders).
    """
    members_a, members_b = members or (a.members, b.members)
    _, row_a, row_b = np.intersect1d(a.units, b.units, assume_unique=True, return_indices=True)
    encoders, width = len(a.sizes), len(b.concepts)
    pairs, overlaps, counts = [], [], []
    encoder_of = a.encoder[row_a]
    for encoder in range(encoders):
        inside = encoder_of == encoder
        shared = (members_a[row_a[inside]].T @ members_b[row_b[inside]]).tocoo()
        i, j = shared.coords
        pairs.append(i * width + j)
        union = a.sizes[encoder, i] + b.sizes[encoder, j] - shared.data
        overlaps.append(shared.data / union)
        counts.append(shared.data)
    pair, row = np.unique(np.concatenate([np.zeros(0, np.int64), *pairs]), return_inverse=True)
    count = np.zeros((len(pair), encoders), np.int64)
    overlap = np.zeros((len(pair), encoders))
    column = np.repeat(np.arange(encoders), [len(numbers) for numbers in pairs])
    if len(pair):
        count[row, column] = np.concatenate(counts)
        overlap[row, column] = np.concatenate(overlaps)
    return pair, (overlap.sum(1) / max(1, encoders)).round(DIGITS), count


def _permuted(
    a: _Memberships, b: _Memberships, *, permutations: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Pairs and overlaps of each permutation."""
    rng = np.random.default_rng(seed)
    for _ in range(permutations):
        members = a.permuted(rng), b.permuted(rng)
        yield _overlaps(a, b, members)[:2]


def _p_values(
    entries: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """P-value of every overlap, among the overlaps of the same pair in all entries.

    Args:
        entries: pairs and overlaps, the observed ones first; an absent pair has overlap 0.

    Returns:
        The p-values of all entries, concatenated.
    """
    pair, overlap = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    order = np.lexsort((-overlap, pair))  # by pair, in descending order
    pair, overlap = pair[order], overlap[order]
    new_pair = np.diff(pair, prepend=-1) != 0
    new_value = new_pair | (np.diff(overlap, prepend=-1) != 0)
    place = np.arange(len(pair))
    first = np.maximum.accumulate(np.where(new_pair, place, 0))
    end = np.append(place[new_value], len(pair))[np.cumsum(new_value)]  # after the last tie
    p_value = np.empty(len(pair))
    p_value[order] = (end - first) / len(entries)
    return p_value


def _q_values(
    observed: NDArray[np.float64], null: NDArray[np.float64], *, permutations: int
) -> NDArray[np.float64]:
    """Return the q-value of each observed p-value: the least FDR of a threshold that admits it.

    Args:
        observed: p-values (n,).
        null: p-values of all permutations, ascending.
        permutations: their number.
    """
    order = np.argsort(observed)
    n_observed = np.searchsorted(observed[order], observed[order], side="right")
    n_null = (1 + np.searchsorted(null, observed[order], side="right")) / (1 + permutations)
    fdr = np.minimum.accumulate((n_null / np.maximum(1, n_observed))[::-1])[::-1]
    q_value = np.empty(len(observed))
    q_value[order] = np.minimum(1, fdr)
    return q_value


def _shared_units(rosetta_a: pd.DataFrame, rosetta_b: pd.DataFrame) -> pd.DataFrame:
    """Encoder units matched in both runs, with the Rosetta neurons they are best buddies of."""
    columns = ["model", "unit", "concept", "pivot_unit", "corr"]
    both = rosetta_a[columns].merge(rosetta_b[columns], on=["model", "unit"], suffixes=("_a", "_b"))
    order = [*KEYS, "model", "unit", "pivot_unit_a", "pivot_unit_b"]
    return both.sort_values(order, ignore_index=True)[[*order, "corr_a", "corr_b"]]


def _count_shared_units(
    rosetta_a: pd.DataFrame, rosetta_b: pd.DataFrame, units: Mapping[str, pd.DataFrame]
) -> list[tuple[str, str, int, float]]:
    """Number of shared units of each encoder, and its expectation for random alive units."""
    rows = []
    for model, table in units.items():
        a, b = (
            table["unit"].isin(rosetta.loc[rosetta["model"] == model, "unit"])
            for rosetta in (rosetta_a, rosetta_b)
        )
        matched = pd.DataFrame({"a": a, "b": b, "alive": table["alive"]})
        layers = matched[matched["alive"]].groupby(table["layer"]).sum()
        expected = float((layers["a"] * layers["b"] / layers["alive"]).sum())
        rows.append(("shared units", model, int((a & b).sum()), expected))
    return rows
