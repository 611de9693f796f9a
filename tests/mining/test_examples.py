"""Examples of units and concepts, compared with their definitions."""

from pathlib import Path

import numpy as np
import oracle
import pandas as pd
import pytest
import torch
from PIL import Image

from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.store import new_store
from rosetta_core.mining.examples.concepts import PairBlock, concept_scores, write_concept_examples
from rosetta_core.mining.examples.heat_maps import downsample, quantise
from rosetta_core.mining.examples.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    thumbnails,
    without_duplicates,
)
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.selection import (
    disagreement,
    quartile_examples,
    random_examples,
    top_examples,
)
from rosetta_core.mining.examples.stores import (
    StoredConceptExamples,
    read_unit_examples,
    write_unit_examples,
)
from rosetta_core.mining.examples.units import find_unit_examples
from rosetta_core.mining.matching.concepts import representative_units
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.subset import UnitPositions, standardise
from rosetta_core.mining.sources.unit_table import unit_table
from rosetta_core.runtime.threads import TorchThreadPool

MIB = 2**20


def made_maps(
    images: int, layers: dict[str, tuple[int, int, int]], seed: int
) -> tuple[InMemoryActivations, pd.DataFrame]:
    """Random maps and the table of their units; unit 1 is dead, unit 2 saturates."""
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.gamma(0.7, 2, (images, *shape)).astype(np.float16)
        for name, shape in layers.items()
    }
    first = next(iter(arrays.values()))
    first[:, 1] = 3
    first[:, 2] = first[:, 2].clip(max=1)  # saturates: all its peaks are the same
    maps = InMemoryActivations(arrays, name=f"model{seed}")
    return maps, unit_table(maps.layers, maps.moments(), min_relative_std=0.01)


def standard(maps: InMemoryActivations, units: pd.DataFrame, unit: int) -> np.ndarray:
    """A unit's maps in float64, less its mean, in its std."""
    row = units.loc[unit]
    layer = [layer.name for layer in maps.layers].index(row["layer"])
    values = maps.read(layer, range(maps.images)).double().numpy()[:, row["channel"]]
    return (values - values.mean()) / values.std()


def test_representative_units_have_the_highest_mean_correlation() -> None:
    rows = [
        (1, "x", 10, 0.9), (1, "y", 20, 0.1),
        (2, "x", 11, 0.6), (2, "x", 12, 0.7), (2, "y", 21, 0.5), (2, "y", 20, 0.2),
    ]  # fmt: skip
    concept = pd.DataFrame(rows, columns=["pivot_unit", "model", "unit", "corr"])
    assert representative_units(concept, pivot="g") == {"g": 2, "x": 12, "y": 21}


def defined_scores(
    members: pd.DataFrame,
    maps: dict[str, InMemoryActivations],
    units: dict[str, pd.DataFrame],
    pivot: str,
) -> np.ndarray:
    """By the definition: enlarge, multiply, average over positions, pairs, and encoders."""
    by_encoder = []
    for model, pairs in members.groupby("model"):
        products = []
        for row in pairs.itertuples():
            f = standard(maps[pivot], units[pivot], row.pivot_unit)[:, None]
            g = standard(maps[model], units[model], row.unit)[:, None]
            size = tuple(np.maximum(f.shape[2:], g.shape[2:]).tolist())
            f, g = (oracle.enlarge(one, size).reshape(len(f), -1) for one in (f, g))
            products.append((f * g).mean(1).numpy())
        by_encoder.append(np.mean(products, axis=0))
    return np.mean(by_encoder, axis=0)


@pytest.fixture
def zoo() -> tuple[dict[str, InMemoryActivations], dict[str, pd.DataFrame], pd.DataFrame]:
    """Three models with layers of different grids, and two concepts of theirs."""
    made = {
        "g": made_maps(11, {"a": (4, 4, 4), "b": (3, 8, 8)}, 0),
        "x": made_maps(11, {"p": (5, 3, 3), "q": (4, 14, 14)}, 1),
        "y": made_maps(11, {"r": (6, 4, 20)}, 2),
    }
    rows = [
        (0, "x", 2, 0.5, 0), (0, "x", 6, 0.4, 0), (0, "y", 3, 0.6, 0), (5, "x", 6, 0.3, 0),
        (5, "y", 4, 0.2, 0), (5, "y", 0, 0.9, 0), (3, "x", 0, 0.2, 1), (3, "y", 5, 0.1, 1),
    ]  # fmt: skip
    rosetta = pd.DataFrame(rows, columns=["pivot_unit", "model", "unit", "corr", "concept"])
    return {n: m for n, (m, _) in made.items()}, {n: u for n, (_, u) in made.items()}, rosetta


@pytest.mark.parametrize("budget", [MIB // 64, 64 * MIB])
def test_concept_examples(tmp_path: Path, zoo, budget: int) -> None:
    maps, units, rosetta = zoo
    store = tmp_path / "concepts.zarr"
    write_concept_examples(store, rosetta, units=units, maps=maps, memory_budget=budget, threads=2)
    found = StoredConceptExamples(store, units)
    assert found.models == ["g", "x", "y"]
    assert found.representative.tolist() == [[5, 6, 0], [3, 0, 5]]
    for concept, members in rosetta.groupby("concept"):
        expected = defined_scores(members, maps, units, "g")
        np.testing.assert_allclose(found.scores[concept], expected, atol=2e-5)
    for concept in range(2):
        for place, model in enumerate(found.models):
            exact = standard(maps[model], units[model], int(found.representative[concept, place]))
            shown = dequantise(found.maps(concept, model))
            assert np.abs(shown - exact.clip(-4, 27.875)).max() <= 1 / 16 + 1e-3


def test_the_mean_score_of_a_pair_is_its_correlation(zoo) -> None:
    maps, units, _ = zoo
    with TorchThreadPool(1) as workers:
        read = {
            model: UnitPositions(maps[model], units[model], [unit]).read(range(11), workers)
            for model, unit in {"g": 5, "x": 6}.items()
        }
    block = PairBlock("x", 1, 1, [0], [0], np.ones((1, 1), np.float32))
    mean = concept_scores([block], read, pivot="g").mean()
    f = oracle.enlarge(standard(maps["g"], units["g"], 5)[:, None], (14, 14)).flatten()
    g = torch.from_numpy(standard(maps["x"], units["x"], 6)).flatten()
    # both factors are in their std at their own grid, which enlarging lowers
    expected = float(torch.corrcoef(torch.stack([f, g]))[0, 1] * f.std(correction=0))
    assert mean == pytest.approx(expected, abs=2e-3)


def test_no_concepts_is_an_empty_store(tmp_path: Path, zoo) -> None:
    maps, units, rosetta = zoo
    store = tmp_path / "concepts.zarr"
    write_concept_examples(store, rosetta[:0], units=units, maps=maps, memory_budget=MIB, threads=1)
    found = StoredConceptExamples(store, units)
    assert found.scores.shape == (0, 11)
    assert found.representative.shape == (0, 3)


def test_only_best_buddies_count_in_a_concept_score(tmp_path: Path) -> None:
    """Pairs (0, 2) and (3, 0) lie in one layer of both models; (0, 0) and (3, 2) are no buddies."""
    pivot, encoder = made_maps(9, {"a": (4, 4, 4)}, 5), made_maps(9, {"p": (4, 4, 4)}, 6)
    maps, units = {"g": pivot[0], "x": encoder[0]}, {"g": pivot[1], "x": encoder[1]}
    rows = [(0, "x", 2, 0.5, 0), (3, "x", 0, 0.4, 0)]
    rosetta = pd.DataFrame(rows, columns=["pivot_unit", "model", "unit", "corr", "concept"])
    store = tmp_path / "concepts.zarr"
    write_concept_examples(store, rosetta, units=units, maps=maps, memory_budget=MIB, threads=1)
    z = {(m, u): standard(maps[m], units[m], u) for m in maps for u in (0, 2, 3)}
    pairs = [z["g", 0] * z["x", 2], z["g", 3] * z["x", 0]]
    expected = np.mean([product.mean(axis=(1, 2)) for product in pairs], axis=0)
    np.testing.assert_allclose(StoredConceptExamples(store, units).scores[0], expected, atol=2e-5)


@pytest.mark.parametrize(("budget", "threads"), [(64 * MIB, 1), (1, 2)])
def test_unit_examples_have_the_highest_peaks(tmp_path: Path, budget: int, threads: int) -> None:
    class CountedReads(InMemoryActivations):
        """Maps that must be loaded, so that the budget cuts the images."""

        def bytes_per_image(self) -> int:
            return 1000

    plain, units = made_maps(13, {"a": (5, 4, 4), "b": (3, 70, 90)}, 4)
    maps = CountedReads(
        {la.name: plain.read(i, range(13)).numpy() for i, la in enumerate(plain.layers)}
    )
    maps.name = "model"
    duplicates = np.arange(13, dtype=np.int32)
    duplicates[[7, 9]] = 2
    found = find_unit_examples(
        maps, units, duplicates=duplicates, count=3, memory_budget=budget, threads=threads
    )
    store = tmp_path / "units.zarr"
    write_unit_examples(store, found)
    found = read_unit_examples(store)
    for row in units.itertuples():
        layer = found[0 if row.layer == "a" else 1]
        images, peaks, shown, histogram = (
            getattr(layer, name)[row.channel] for name in ("images", "peaks", "maps", "histogram")
        )
        if not row.alive:
            assert images.tolist() == [-1, -1, -1]
            assert np.isnan(peaks).all()
            continue
        exact = standard(maps, units, row.unit)
        highest = exact.max(axis=(1, 2))
        expected: list[int] = []
        for image in np.lexsort((-exact.mean(axis=(1, 2)), -highest)).tolist():
            if duplicates[image] not in duplicates[expected]:
                expected.append(image)
        assert images.tolist() == expected[:3]
        np.testing.assert_allclose(peaks, highest[expected[:3]], rtol=2e-3)
        small = downsample(torch.from_numpy(exact[images]))
        assert shown.shape[1:] == small.shape[1:] == tuple(np.minimum(exact.shape[1:], 48))
        assert np.abs(dequantise(shown) - small.clamp(-4, 27.875).numpy()).max() <= 1 / 16 + 1e-2
        counts, _ = np.histogram(exact, bins=128, range=(-4 - 1 / 16, 28 - 1 / 16))
        assert histogram.sum() == exact.size == counts.sum()
        assert np.abs(histogram - counts).sum() <= 0.01 * exact.size  # float16 at the edges


def test_duplicates_among_the_highest_peaks_are_replaced() -> None:
    """The four highest of the candidates are two pairs of duplicates."""
    peaks = np.array([9, 8, 7, 6, 5, 4, 3, 2], np.float32)
    maps = InMemoryActivations({"a": peaks[:, None, None, None] * np.eye(2, dtype=np.float32)})
    units = unit_table(maps.layers, maps.moments(), min_relative_std=0.01)
    (layer,) = find_unit_examples(
        maps,
        units,
        duplicates=np.array([0, 0, 2, 2, 4, 5, 6, 7], np.int32),
        count=2,
        memory_budget=MIB,
        threads=1,
    )
    assert layer.images.tolist() == [[0, 2]]


def test_a_store_of_another_kind_is_said_in_one_line(tmp_path: Path) -> None:
    with new_store(tmp_path / "empty.zarr"):
        pass
    for read in (read_unit_examples, lambda store: StoredConceptExamples(store, {})):
        with pytest.raises(
            RosettaError,
            match=r"empty\.zarr: has no attribute .*; delete .*empty\.zarr and run again",
        ):
            read(tmp_path / "empty.zarr")


def test_bytes_hold_a_sixteenth_of_a_std() -> None:
    values = torch.linspace(-6, 40, 1001)
    back = dequantise(quantise(values).numpy())
    assert np.abs(back - values.clamp(-4, 27.875).numpy()).max() <= 1 / 16 + 1e-6
    never = standardise(torch.full((2, 1, 2, 2), 5.0), mean=np.array([5.0]), std=np.zeros(1))
    assert (never == 0).all()


def test_near_duplicates_are_grouped() -> None:
    rng = np.random.default_rng(0)
    different = rng.integers(0, 255, (6, 4, 4, 3), dtype=np.uint8)
    images = np.stack(
        [
            np.asarray(Image.fromarray(i).resize((40, 40), Image.Resampling.NEAREST))
            for i in different
        ]
    )
    images[4] = np.roll(images[1], 1, axis=1)  # moved by a pixel of forty
    images[5] = np.clip(images[1].astype(int) + 4, 0, 255)  # a little brighter
    groups = group_near_duplicates(thumbnails(images))
    assert groups.tolist()[:4] == [0, 1, 2, 3]
    assert groups[5] == 1
    pieces = find_near_duplicates(lambda numbers: images[numbers.start : numbers.stop], 6)
    assert pieces.tolist() == groups.tolist()
    assert without_duplicates([5, 3, 1, -1, 0], groups) == [5, 3, 0]
    assert without_duplicates([5, 3, 1, 0], groups, count=2) == [5, 3]


def test_near_duplicates_differ_by_at_most_eight_grey_levels() -> None:
    grey = np.full((5, 16, 16, 3), 100, np.uint8)
    grey[1] += 7
    grey[2] += 17  # 10 from its nearest
    grey[3] += 30
    grey[4] += 38  # 8 from its nearest
    assert group_near_duplicates(thumbnails(grey)).tolist() == [0, 0, 2, 3, 3]


def test_selection_of_examples() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.9, -0.2, 0.3, 0.0, 0.2], np.float32)
    groups = np.array([0, 1, 2, 1, 4, 5, 6, 7], np.int32)
    assert top_examples(scores, groups, count=3) == [1, 2, 5]
    assert quartile_examples(scores, count=1) == [[1], [2], [7], [6]]
    assert quartile_examples(scores, count=9) == [[1, 3], [2, 5], [7, 0], [6, 4]]
    assert random_examples(8, count=3, seed=5) == random_examples(8, count=3, seed=5)
    assert len(set(random_examples(8, count=20, seed=5))) == 8
    assert random_examples(100, count=8, seed=0) != random_examples(100, count=8, seed=1)


def test_models_disagree_where_only_one_side_is_active() -> None:
    pivot = np.array([9.0, 1, 2, 3, 4, 8])
    encoders = np.array([[1.0, 0, 2, 3, 4, 9], [10, 5, 20, 30, 40, 90]])  # lowest at 0 and 1
    found = disagreement(np.stack([pivot, *encoders]))
    assert found.argmax() == 0
    np.testing.assert_allclose(found[0], 1 - (2 / 6 + 2 / 6) / 2)
    np.testing.assert_allclose(disagreement(np.stack([pivot, 5 * pivot - 3])), 0)
