"""What two dictionaries share: concepts of two pivots, joined by the units of encoders.

translate       the pairs of concepts, one of each run, that share units of encoders
Translation     those pairs, what joins them, and what chance gives

Units of two generators can't be correlated: they don't draw the same images. But a unit of an
encoder is the same whatever images it sees. So where two runs were mined with the same encoders, a
concept of one and a concept of the other are joined by the encoder units that are best buddies of
Rosetta neurons of both. The score of a pair is the overlap |A ∩ B| / |A ∪ B| of its encoder units
(Jaccard, 1912), taken in each encoder and averaged over all of them.

Chance: within each layer of each encoder, which of a run's matched units belongs to which concepts
is drawn anew, in both runs. What a layer's units are matched with at all stays: so a layer has as
many matches as it has, a concept as many units in it, and units that match anything, as hubs do
(Radovanović et al., 2010), are as often shared. Random units in their place would tell hubs from
others, and call any two concepts with hubs a translation. What is lost is which concept goes with
which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["CLEAR", "TRANSLATED", "Translation", "translate"]

CLEAR = 0.05  # p-value up to which a pair is
TRANSLATED = 0.05  # share of false ones up to which a pair is told as a translation
DRAWS = 5000  # fewer, and p-values are too coarse to tell ten pairs from thousands
KEYS = ["concept_a", "concept_b"]
DIGITS = 12  # of scores: the same terms in another order are a tie


@dataclass(frozen=True)
class Translation:
    """What two runs share.

    Attributes:
        pairs: one row per pair of concepts that share an encoder unit, the clearest first:
            concept_a, concept_b, shared, encoders, by_encoder, score, p_value, q_value.
        units: one row per encoder unit that is a best buddy of Rosetta neurons of both, and pair
            of these: concept_a, concept_b, model, unit, pivot_unit_a, pivot_unit_b, corr_a, corr_b.
        chance: how many are found and how many chance gives: what, model, found, by_chance,
            beyond.
    """

    pairs: pd.DataFrame
    units: pd.DataFrame
    chance: pd.DataFrame

    @property
    def translated(self) -> pd.DataFrame:
        """The pairs beyond chance: of those as clear, at most one in twenty is chance's."""
        return self.pairs[self.pairs["q_value"] <= TRANSLATED]


def translate(
    one: pd.DataFrame,
    other: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    draws: int = DRAWS,
    seed: int = 0,
) -> Translation:
    """Join the concepts of two runs by the encoder units that their Rosetta neurons share.

    The p-value of a pair is (1 + draws in which it scores as high) / (1 + draws). Its q-value is
    the share of chance among the pairs with a p-value as low: how many a draw has on average, over
    how many there are (Storey, 2002; every pair is taken for false, and p-values of draws are
    counted as they fall, since with few shared units they are coarse).

    Args:
        one: the first run's table of Rosetta neurons.
        other: the second's.
        units: by encoder that both have, with unit, layer, and alive: in both runs. What the runs
            have of other encoders is left out.
        draws: of chance.
        seed: of those.
    """
    first, second = (table[table["model"].isin(list(units))] for table in (one, other))
    places = _places(units)
    a, b = (_Side(table, places, encoders=len(units)) for table in (first, second))
    pair, score, counts = _scores(a, b)
    entries = [(pair, score), *_draw(a, b, draws=draws, seed=seed)]
    p_values = np.split(
        _p_values(entries), np.cumsum([len(numbers) for numbers, _ in entries])[:-1]
    )
    found, by_chance = p_values[0], np.sort(np.concatenate(p_values[1:]))
    pairs = pd.DataFrame(
        {
            "concept_a": a.concepts[pair // max(1, len(b.concepts))].astype(np.int32),
            "concept_b": b.concepts[pair % max(1, len(b.concepts))].astype(np.int32),
            "shared": counts.sum(1).astype(np.int32),
            "encoders": (counts > 0).sum(1).astype(np.int32),
            "by_encoder": [row.tolist() for row in counts.astype(np.int32)],
            "score": score.astype(np.float32),
            "p_value": found.astype(np.float32),
            "q_value": _q_values(found, by_chance, draws=draws).astype(np.float32),
        }
    )
    clearest = np.lexsort((pair, -score, found))
    told = found[pairs["q_value"].to_numpy() <= TRANSLATED]
    rows = [
        ("clear pairs", "", (found <= CLEAR).sum(), (by_chance <= CLEAR).sum() / draws),
        (
            "translated pairs",
            "",
            len(told),
            (by_chance <= told.max()).sum() / draws if len(told) else 0.0,
        ),
    ]
    chance = pd.DataFrame(
        [*_shared(first, second, units), *rows], columns=["level", "model", "n_observed", "n_null"]
    )
    return Translation(
        pairs=pairs.iloc[clearest].reset_index(drop=True),
        units=_unit_pairs(first, second),
        chance=chance.assign(beyond=(chance["n_observed"] - chance["n_null"]).clip(lower=0)),
    )


def _places(units: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All encoders' units: model, unit, the encoder's number, and the layer's among all."""
    tables = []
    for number, (model, table) in enumerate(units.items()):
        layer = pd.factorize(table["layer"])[0]
        tables.append(table[["unit"]].assign(model=model, encoder=number, layer=layer))
    if not tables:
        return pd.DataFrame(columns=["unit", "model", "encoder", "layer"])
    places = pd.concat(tables, ignore_index=True)
    return places.assign(layer=places.groupby(["encoder", "layer"]).ngroup())


class _Side:
    """Which concepts of a run have which encoder units.

    Attributes:
        concepts: their numbers, ascending.
        units: matched units, as numbers among all encoders' (U,), by layer.
        layers: theirs.
        has: 1 where a unit is of a concept (U, concepts).
        encoder: of each unit.
        sizes: how many units a concept has in an encoder (encoders, concepts).
        total: number of units of all encoders.
    """

    def __init__(self, rosetta: pd.DataFrame, places: pd.DataFrame, *, encoders: int) -> None:
        numbered = places.assign(place=np.arange(len(places)))
        known = rosetta[["model", "unit", "concept"]].drop_duplicates()
        known = known.merge(numbered, on=["model", "unit"], validate="many_to_one")
        known = known.sort_values(["layer", "place", "concept"])
        self.concepts, column = np.unique(known["concept"].to_numpy(), return_inverse=True)
        first = ~known["place"].duplicated().to_numpy()
        self.units = known["place"].to_numpy()[first]
        self.layers = known["layer"].to_numpy()[first]
        self.encoder = known["encoder"].to_numpy(np.int64)[first]
        row = np.cumsum(first) - 1
        shape = (len(self.units), len(self.concepts))
        self.has = csr_array((np.ones(len(known), np.int64), (row, column)), shape=shape)
        self.sizes = np.zeros((encoders, len(self.concepts)), np.int64)
        np.add.at(self.sizes, (known["encoder"].to_numpy(np.int64), column), 1)

    def shuffled(self, rng: np.random.Generator) -> csr_array:
        """What concepts the units are of, exchanged among the units of each layer."""
        return self.has[np.lexsort((rng.random(len(self.units)), self.layers))]


def _scores(
    one: _Side,
    other: _Side,
    has: tuple[csr_array, csr_array] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """The pairs of concepts that share units.

    Args:
        one: the first run.
        other: the second.
        has: what concepts their units are of, in place of what they are.

    Returns:
        The pairs' numbers a · concepts + b (P,), their scores (P,), and how many units they share
        in each encoder (P, encoders).
    """
    first, second = has or (one.has, other.has)
    _, mine, theirs = np.intersect1d(
        one.units, other.units, assume_unique=True, return_indices=True
    )
    encoders, wide = len(one.sizes), len(other.concepts)
    numbers, values, counted = [], [], []
    of = one.encoder[mine]
    for number in range(encoders):
        own = of == number
        both = (first[mine[own]].T @ second[theirs[own]]).tocoo()
        a, b = both.coords
        numbers.append(a * wide + b)
        union = one.sizes[number, a] + other.sizes[number, b] - both.data
        values.append(both.data / union)
        counted.append(both.data)
    pair, place = np.unique(np.concatenate([np.zeros(0, np.int64), *numbers]), return_inverse=True)
    counts = np.zeros((len(pair), encoders), np.int64)
    overlap = np.zeros((len(pair), encoders))
    encoder = np.repeat(np.arange(encoders), [len(some) for some in numbers])
    if len(pair):
        counts[place, encoder] = np.concatenate(counted)
        overlap[place, encoder] = np.concatenate(values)
    return pair, (overlap.sum(1) / max(1, encoders)).round(DIGITS), counts


def _draw(
    one: _Side, other: _Side, *, draws: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Pairs and scores of each draw of chance."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        has = one.shuffled(rng), other.shuffled(rng)
        yield _scores(one, other, has)[:2]


def _p_values(
    entries: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """How often a pair scores as high, of each of its scores, in all draws and in what was found.

    Args:
        entries: pairs and scores, those found first; a pair that isn't there scores 0.

    Returns:
        One after the other (entries,).
    """
    pair, score = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    order = np.lexsort((-score, pair))  # by pair, the highest first
    pair, score = pair[order], score[order]
    new_pair = np.diff(pair, prepend=-1) != 0
    new_value = new_pair | (np.diff(score, prepend=-1) != 0)
    place = np.arange(len(pair))
    first = np.maximum.accumulate(np.where(new_pair, place, 0))
    after = np.append(place[new_value], len(pair))[np.cumsum(new_value)]  # of the last tie
    found = np.empty(len(pair))
    found[order] = (after - first) / len(entries)
    return found


def _q_values(
    found: NDArray[np.float64], by_chance: NDArray[np.float64], *, draws: int
) -> NDArray[np.float64]:
    """The share of chance among the pairs with a p-value as low (n,), or with any higher one.

    Args:
        found: p-values (n,).
        by_chance: those of all draws, ascending.
        draws: how many.
    """
    order = np.argsort(found)
    as_low = np.searchsorted(found[order], found[order], side="right")
    given = (1 + np.searchsorted(by_chance, found[order], side="right")) / (1 + draws)
    share = np.minimum.accumulate((given / np.maximum(1, as_low))[::-1])[::-1]
    result = np.empty(len(found))
    result[order] = np.minimum(1, share)
    return result


def _unit_pairs(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Encoder units that both have, with the Rosetta neurons that they are best buddies of."""
    columns = ["model", "unit", "concept", "pivot_unit", "corr"]
    both = one[columns].merge(other[columns], on=["model", "unit"], suffixes=("_a", "_b"))
    order = [*KEYS, "model", "unit", "pivot_unit_a", "pivot_unit_b"]
    return both.sort_values(order, ignore_index=True)[[*order, "corr_a", "corr_b"]]


def _shared(
    one: pd.DataFrame, other: pd.DataFrame, units: Mapping[str, pd.DataFrame]
) -> list[tuple[str, str, int, float]]:
    """How many units of each encoder both have, and how many if each had random living ones."""
    rows = []
    for model, table in units.items():
        matched = [
            table["unit"].isin(side.loc[side["model"] == model, "unit"]) for side in (one, other)
        ]
        known = pd.DataFrame({"one": matched[0], "other": matched[1], "alive": table["alive"]})
        layers = known[known["alive"]].groupby(table["layer"]).sum()
        expected = float((layers["one"] * layers["other"] / layers["alive"]).sum())
        rows.append(("shared units", model, int((matched[0] & matched[1]).sum()), expected))
    return rows
