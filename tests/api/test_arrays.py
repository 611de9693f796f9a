"""The functions on arrays are the paper's definitions, and refuse what they cannot read."""

import networkx
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from rosetta_core import RosettaError
from rosetta_core.api.arrays import (
    best_buddies,
    concepts,
    correlate,
    rosetta_neurons,
)

IMAGES = 6


def maps(seed: int, **layers: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Random maps (n, c, h, w) by layer, that share a part over all seeds."""
    common = torch.from_numpy(np.random.default_rng(99).standard_normal((IMAGES, 4, 8, 8)))
    rng = np.random.default_rng(seed)
    made = {}
    for name, (channels, height, width) in layers.items():
        own = rng.standard_normal((IMAGES, channels, height, width))
        shared = functional.interpolate(common, size=(height, width), mode="bilinear").numpy()
        made[name] = (own + 3 * shared[:, rng.integers(0, 4, channels)] + 1).astype(np.float32)
    return made


PIVOT = maps(0, early=(5, 8, 8), late=(7, 3, 5))
MODEL = maps(1, a=(6, 4, 4), b=(4, 16, 2))


def by_definition(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 1 and 2 for the maps (n, h, w) of two units, in float64."""
    size = [max(pair) for pair in zip(first.shape[1:], second.shape[1:], strict=True)]
    rows = [
        functional.interpolate(
            torch.from_numpy(part)[:, None].double(), size=size, mode="bilinear"
        ).flatten()
        for part in (first, second)
    ]
    return float(torch.corrcoef(torch.stack(rows))[0, 1])


def test_correlations_are_those_of_the_definition() -> None:
    corr = correlate(PIVOT, MODEL)
    assert corr.shape == (12, 10)
    assert corr.dtypes.unique().tolist() == [np.float32]
    for layer, channel in [("early", 0), ("early", 4), ("late", 6)]:
        for other, number in [("a", 0), ("a", 5), ("b", 3)]:
            expected = by_definition(PIVOT[layer][:, channel], MODEL[other][:, number])
            assert corr.loc[(layer, channel), (other, number)] == pytest.approx(expected, abs=1e-6)


TYPES = [
    torch.from_numpy,
    lambda x: torch.from_numpy(x).double(),
    lambda x: torch.from_numpy(x).requires_grad_(),
    lambda x: torch.from_numpy(x).contiguous(memory_format=torch.channels_last),
    lambda x: x.astype(np.float64),
    lambda x: x.astype(">f4"),
    lambda x: x.astype(np.longdouble),
    np.asfortranarray,
    lambda x: np.flip(np.flip(x, 3).copy(), 3),
]


@pytest.mark.parametrize("convert", TYPES)
def test_arrays_and_tensors_of_any_type_give_the_same(convert) -> None:
    converted = {name: convert(values) for name, values in PIVOT.items()}
    pd.testing.assert_frame_equal(correlate(converted, MODEL), correlate(PIVOT, MODEL), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, bool])
def test_whole_numbers_are_read_exactly(dtype) -> None:
    whole = (PIVOT["early"] * 10).astype(dtype)
    if dtype == np.int32:
        whole = whole + 2**28  # float32 would round it
    expected = correlate(whole.astype(np.float64), MODEL, min_relative_std=0)
    pd.testing.assert_frame_equal(correlate(whole, MODEL, min_relative_std=0), expected, atol=1e-6)


def test_memory_mapped_maps_are_not_copied(tmp_path) -> None:
    np.save(tmp_path / "maps.npy", PIVOT["early"])
    mapped = np.load(tmp_path / "maps.npy", mmap_mode="r")
    pd.testing.assert_frame_equal(correlate(mapped, MODEL), correlate(PIVOT["early"], MODEL))


def test_dead_units_are_those_of_the_workflow() -> None:
    still = {"early": PIVOT["early"].copy()}
    still["early"][:, 1] = 3
    still["early"][:, 2] = 1 + 1e-4 * still["early"][:, 0]
    corr = correlate(still, MODEL)
    assert corr.isna().all(axis=1).tolist() == [False, True, True, False, False]
    assert not correlate(still, MODEL, min_relative_std=0).loc[("early", 2)].isna().any()


def literal_best_buddies(corr: np.ndarray, k: int, *, same: bool = False) -> set[tuple[int, int]]:
    """Equation 3, with sets."""
    corr = np.where(np.isnan(corr), -np.inf, corr.astype(np.float64))
    if same:
        np.fill_diagonal(corr, -np.inf)
    near = [set(np.argsort(-row, kind="stable")[:k]) for row in corr]
    back = [set(np.argsort(-column, kind="stable")[:k]) for column in corr.T]
    pairs = ((i, j) for i in range(corr.shape[0]) for j in range(corr.shape[1]))
    return {(i, j) for i, j in pairs if corr[i, j] > -np.inf and j in near[i] and i in back[j]}


@pytest.mark.parametrize("k", [1, 3, 10])
def test_best_buddies_are_those_of_the_definition(k: int) -> None:
    corr = correlate(PIVOT, MODEL)
    found = best_buddies(corr, k=k)
    assert set(zip(found["pivot_unit"], found["unit"], strict=True)) == literal_best_buddies(
        corr.to_numpy(), k
    )
    for row in found.itertuples():
        assert corr.index[row.pivot_unit] == (row.pivot_layer, row.pivot_channel)
        assert corr.columns[row.unit] == (row.layer, row.channel)
        assert corr.iloc[row.pivot_unit, row.unit] == row.corr
    unnamed = best_buddies(corr.to_numpy(), k=k)
    pd.testing.assert_frame_equal(found[unnamed.columns], unnamed)


def test_a_unit_is_not_its_own_best_buddy() -> None:
    corr = correlate(PIVOT, PIVOT)
    found = best_buddies(corr, k=2, same_model=True)
    pairs = set(zip(found["pivot_unit"], found["unit"], strict=True))
    assert pairs == literal_best_buddies(corr.to_numpy(), 2, same=True)
    assert all(one != other for one, other in pairs)


def test_neurons_and_concepts_are_those_of_the_paper() -> None:
    models = {"first": MODEL, "second": maps(2, x=(8, 5, 5))}
    buddies = {name: best_buddies(correlate(PIVOT, part), k=3) for name, part in models.items()}
    within = best_buddies(correlate(PIVOT, PIVOT), k=2, same_model=True)
    rosetta = rosetta_neurons(buddies, within)
    neurons = set.intersection(*(set(table["pivot_unit"]) for table in buddies.values()))
    assert neurons
    assert set(rosetta["pivot_unit"]) == neurons
    graph = networkx.Graph()
    graph.add_nodes_from(neurons)
    links = zip(within["pivot_unit"], within["unit"], strict=True)
    graph.add_edges_from((a, b) for a, b in links if {a, b} <= neurons)
    found = {frozenset(units) for units in concepts(rosetta)["pivot_units"]}
    assert found == {frozenset(part) for part in networkx.connected_components(graph)}
    for row in rosetta.itertuples():
        table = buddies[row.model]
        match = table[(table["pivot_unit"] == row.pivot_unit) & (table["unit"] == row.unit)]
        assert match[["layer", "channel", "corr"]].values.tolist() == [
            [row.layer, row.channel, row.corr]
        ]


NAN = {"early": np.where(np.arange(8) == 3, np.nan, PIVOT["early"])}


@pytest.mark.parametrize(
    ("pivot", "model", "message"),
    [
        ({}, MODEL, "pivot: no maps; give an array (n, c, h, w) per layer"),
        (PIVOT["early"][0], MODEL, "pivot, layer 'maps': shape (5, 8, 8) is not (n, c, h, w)"),
        ({"x": PIVOT["early"][:0]}, MODEL, "pivot, layer 'x': shape (0, 5, 8, 8) is not"),
        ({"x": [[1.0]]}, MODEL, "pivot, layer 'x': is a list; give a NumPy array or a tensor"),
        ({"x": PIVOT["early"] * 1j}, MODEL, "pivot, layer 'x': type complex64 is not real"),
        ({"x": torch.ones(2, 1, 1, 1) * 1j}, MODEL, "pivot, layer 'x': type torch.complex64"),
        ({"x": torch.ones(2, 1, 1, 1).to_sparse()}, MODEL, "layout torch.sparse_coo is not real"),
        ({"x": np.array([[[["a"]]]])}, MODEL, "pivot, layer 'x': type <U1 is not real"),
        (
            {"a": PIVOT["early"], "b": PIVOT["early"][:2]},
            MODEL,
            "pivot: the layers have different numbers of images ({'a': 6, 'b': 2})",
        ),
        (PIVOT["early"][:4], MODEL, "model: has maps of 6 images, and the pivot of 4; use the"),
        (
            NAN,
            MODEL,
            "pivot: layer 'early', image 0, channel 0, position (0, 3): the map contains nan",
        ),
        (
            PIVOT,
            {"x": np.float32(np.inf) + MODEL["a"]},
            "image 0, channel 0, position (0, 0): the map contains inf; remove",
        ),
        (
            {"a": torch.ones(6, 1, 1, 1), "b": torch.ones(6, 1, 1, 1, device="meta")},
            MODEL,
            "pivot: the layers are on different devices (cpu, meta); move them to one",
        ),
    ],
)
def test_maps_that_cannot_be_read_are_refused(pivot, model, message: str) -> None:
    with pytest.raises(RosettaError) as error:
        correlate(pivot, model)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


CORR = correlate(PIVOT, MODEL)
SELF = correlate(PIVOT, PIVOT)
BUDDIES = best_buddies(CORR)
WITHIN = best_buddies(SELF, same_model=True)
OTHER = {"other": PIVOT["early"], "late": PIVOT["late"]}
OTHER_WITHIN = best_buddies(correlate(OTHER, OTHER), same_model=True)
DOUBLE = PIVOT["early"].astype(np.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlate(PIVOT, MODEL, memory_budget="lots"), "memory_budget: 'lots' is not a"),
        (lambda: correlate(PIVOT, MODEL, memory_budget=2**31), "memory_budget: "),
        (lambda: correlate(PIVOT, MODEL, device="cuda:99"), "device: 'cuda:99' is not available"),
        (lambda: correlate(PIVOT, MODEL, device="gpu"), "device: 'gpu' is not a device"),
        (lambda: best_buddies(CORR, k=0), "k: 0 is not a whole number from 1 on"),
        (lambda: best_buddies(CORR, k=2.5), "k: 2.5 is not a whole number"),
        (lambda: best_buddies(CORR.to_numpy()[0]), "corr: shape (10,) is not a matrix"),
        (lambda: best_buddies(2 * CORR), "beyond -1..1; give correlations"),
        (lambda: best_buddies(SELF), "the models are the same; give same_model=True"),
        (lambda: best_buddies(CORR, same_model=True), "same_model: the correlations are not"),
        (lambda: rosetta_neurons({}, BUDDIES), "buddies: give a dictionary of"),
        (lambda: rosetta_neurons({"a": CORR}, BUDDIES), "a: is not a table of best_buddies, it"),
        (lambda: rosetta_neurons({"a": BUDDIES}, None), "within_pivot: is not a table of"),
        (lambda: rosetta_neurons([BUDDIES], WITHIN), "buddies: give a dictionary of"),
        (lambda: rosetta_neurons({"a": BUDDIES}, BUDDIES), "within_pivot: is not of the pivot"),
        (lambda: rosetta_neurons({"a": BUDDIES}, OTHER_WITHIN), "in another table; use one pivot"),
        (lambda: best_buddies("a"), "corr: is not a matrix of numbers"),
        (lambda: correlate(PIVOT, MODEL, min_relative_std="a"), "min_relative_std: 'a' is not a"),
        (lambda: correlate({"x": 1e-25 * DOUBLE}, MODEL), "a unit has a std of"),
        (lambda: correlate({"x": 1e25 * DOUBLE}, MODEL), "outside 1e-15 to 1e+15; scale the maps"),
        (lambda: concepts(BUDDIES), "rosetta: is not a table of rosetta_neurons, it lacks concept"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call, message: str) -> None:
    with pytest.raises(RosettaError) as error:
        call()
    assert isinstance(error.value, ValueError)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
