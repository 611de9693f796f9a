"""The objective and its gradient are those of the definition, with maps enlarged in float64."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from rosetta_core.steering.optimise.objective import Objective
from rosetta_core.steering.optimise.prepared_targets import FLAT, MapTarget, Similarity

SIMILARITIES = get_args(Similarity)
GRIDS = {"first": (4, 4), "second": (8, 6), "third": (9, 10)}  # dense products, and separable ones
CHANNELS = {"first": 5, "second": 7, "third": 4}
ITEMS = 3

sides = st.integers(1, 13)
each = pytest.mark.parametrize("similarity", SIMILARITIES)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Products of this size only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moments(*, mean: float = 1, std: float = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        layer: (mean * rng.uniform(0.5, 1, count), std * rng.uniform(0.5, 1.5, count))
        for layer, count in CHANNELS.items()
    }


def maps(items: int = ITEMS, *, seed: int = 0) -> dict[str, Tensor]:
    """Maps that are distributed as the moments say."""
    found = {}
    for layer, (mean, std) in moments().items():
        noise = drawn(items, CHANNELS[layer], *GRIDS[layer], seed=seed)
        noise = noise * torch.from_numpy(std)[:, None, None] + torch.from_numpy(mean)[:, None, None]
        found[layer] = noise.float()
    return found


def match(
    layer: str, channels: Sequence[int], grid: tuple[int, int], *, seed: int = 0
) -> MapTarget:
    targets = drawn(ITEMS, len(channels), *grid, seed=seed + 100) + 0.3
    weights = drawn(ITEMS, len(channels), seed=seed + 200).abs()
    return MapTarget(layer, np.array(channels), targets.double(), weights)


MATCHES = [
    match("second", [1, 1, 4], (14, 14), seed=1),  # twice the same unit
    match("second", [4, 0], (14, 14), seed=2),  # again the same grid
    match("second", [1, 6], (5, 9), seed=3),  # higher, but narrower
    match("second", [2], (8, 6), seed=4),
    match("first", [3, 2, 2], (4, 4), seed=5),
    match("first", [3], (2, 3), seed=6),
    match("first", [0, 4], (7, 5), seed=7),
    match("third", [0, 3], (23, 11), seed=8),
    match("third", [2, 3], (3, 3), seed=9),
]


def objective(
    matches: Sequence[MapTarget], similarity: str, known: Mapping | None = None, grids: dict = GRIDS
) -> Objective:
    return Objective(matches, grids=grids, moments=known or moments(), similarity=similarity)


def by_definition(
    matches: Sequence[MapTarget], similarity: str, known: Mapping | None = None
) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The mean over pairs, in float64, of what is compared on the larger grid."""
    known = known or moments()

    def of_maps(maps: Mapping[str, Tensor]) -> Tensor:
        total = weight = torch.zeros(1, dtype=torch.float64)
        for its in matches:
            mean, std = (torch.from_numpy(m[its.channels])[:, None, None] for m in known[its.layer])
            g = (maps[its.layer].double()[:, its.channels] - mean) / std
            d = its.targets.double()
            large = [max(a, b) for a, b in zip(g.shape[2:], d.shape[2:], strict=True)]
            g, d = (
                functional.interpolate(m, size=large, mode="bilinear", align_corners=False)
                for m in (g, d)
            )
            weights = its.weights.double()
            total = total + (COMPARED[similarity](g, d) * weights).sum(dim=1)
            weight = weight + weights.sum(dim=1)
        return total / weight

    return of_maps


def damped_correlation(g: Tensor, d: Tensor) -> Tensor:
    g, d = (m - m.mean(dim=(2, 3), keepdim=True) for m in (g, d))
    variances = [m.square().mean(dim=(2, 3)) + FLAT for m in (g, d)]
    return (g * d).mean(dim=(2, 3)) / (variances[0] * variances[1]).sqrt()


COMPARED = {
    "image": damped_correlation,
    "dataset": lambda g, d: (g * d).mean(dim=(2, 3)),
    "distance": lambda g, d: -(g - d).square().mean(dim=(2, 3)),
}


def value_and_gradient(
    of_maps: Callable[[Mapping[str, Tensor]], Tensor], maps: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The values (n,), and the gradient of their sum with a weight that differs by item."""
    leaves = {layer: m.detach().clone().requires_grad_(True) for layer, m in maps.items()}
    values = of_maps(leaves)
    slopes = torch.arange(1, len(values) + 1).to(values)
    found = torch.autograd.grad(values @ slopes, list(leaves.values()), allow_unused=True)
    return values.detach().double(), {
        layer: torch.zeros_like(maps[layer]) if g is None else g
        for layer, g in zip(leaves, found, strict=True)
    }


def assert_same(
    ours: Callable, definition: Callable, maps: Mapping[str, Tensor], *, tolerance: float = 5e-6
) -> None:
    """Values to within a tolerance, and slopes relative to the layer's largest.

    Or to 0.05, about what the terms of a slope are: at a correlation of 1 they cancel.
    """
    value, gradient = value_and_gradient(ours, maps)
    expected, slopes = value_and_gradient(definition, maps)
    scale = 1 + float(expected.abs().max())
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * scale)
    for layer, slope in slopes.items():
        largest = max(float(slope.abs().max()), 0.05)
        torch.testing.assert_close(gradient[layer], slope, rtol=0, atol=tolerance * largest)


@each
def test_value_and_gradient_are_those_of_enlarged_maps(similarity: str) -> None:
    assert_same(objective(MATCHES, similarity), by_definition(MATCHES, similarity), maps())


@each
@given(
    own=st.tuples(sides, sides),
    encoders=st.lists(st.tuples(sides, sides), min_size=1, max_size=4),
    channels=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    items=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_any_grids_and_units(
    *,
    similarity: str,
    own: tuple[int, int],
    encoders: list[tuple[int, int]],
    channels: list[int],
    items: int,
    seed: int,
) -> None:
    known = {"layer": moments()["third"]}
    matches = [
        MapTarget(
            "layer",
            np.array(channels[i:] + channels[:i]),
            drawn(items, len(channels), *grid, seed=seed + i),
            drawn(items, len(channels), seed=seed - i).abs(),
        )
        for i, grid in enumerate(encoders)
    ]
    ours = objective(matches, similarity, known, {"layer": own})
    g = {"layer": drawn(items, 4, *own, seed=seed + 50)}
    assert_same(ours, by_definition(matches, similarity, known), g, tolerance=2e-5)


@each
def test_a_pair_of_weight_zero_is_left_out(similarity: str) -> None:
    zeros = [MapTarget(m.layer, m.channels, m.targets, m.weights.clone()) for m in MATCHES]
    zeros[0].weights[1, 1] = zeros[3].weights[1] = zeros[7].weights[1] = 0
    without = [
        MapTarget(m.layer, m.channels[kept], m.targets[:, kept], m.weights[:, kept])
        for m in zeros
        if (kept := (m.weights[1] > 0).numpy()).any()
    ]
    value, gradient = value_and_gradient(objective(zeros, similarity), maps())
    expected, slopes = value_and_gradient(objective(without, similarity), maps())
    assert float(value[1]) == pytest.approx(float(expected[1]), abs=1e-6)
    assert float(value[0]) != pytest.approx(float(expected[0]), abs=1e-4)  # which has these pairs
    for layer, slope in slopes.items():
        largest = float(slope.abs().max())
        torch.testing.assert_close(gradient[layer][1], slope[1], rtol=0, atol=1e-6 * largest)


@each
def test_a_unit_without_a_match_has_no_slope(similarity: str) -> None:
    _, gradient = value_and_gradient(objective(MATCHES, similarity), maps())
    for layer, slope in gradient.items():
        matched = np.unique(np.concatenate([m.channels for m in MATCHES if m.layer == layer]))
        reached = slope.abs().amax(dim=(0, 2, 3)).nonzero().flatten().numpy()
        np.testing.assert_array_equal(reached, matched)


@each
def test_an_item_does_not_depend_on_the_others(similarity: str) -> None:
    together, slopes = value_and_gradient(objective(MATCHES, similarity), maps())
    for item in range(ITEMS):
        alone = objective([m.select([item]) for m in MATCHES], similarity)
        its = {layer: m[item : item + 1] for layer, m in maps().items()}
        value, gradient = value_and_gradient(alone, its)
        assert float(value[0]) == pytest.approx(float(together[item]), abs=1e-6)
        for layer, slope in slopes.items():
            own = (item + 1) * gradient[layer][0]
            torch.testing.assert_close(own, slope[item], rtol=1e-4, atol=1e-6)


@each
def test_weights_are_shares(similarity: str) -> None:
    scaled = [MapTarget(m.layer, m.channels, m.targets, 40 * m.weights) for m in MATCHES]
    torch.testing.assert_close(
        objective(scaled, similarity)(maps()), objective(MATCHES, similarity)(maps())
    )


def test_chosen_items_are_those_items() -> None:
    chosen = [m.select([2, 0, 2]) for m in MATCHES]
    its = {layer: m[[2, 0, 2]] for layer, m in maps().items()}
    torch.testing.assert_close(
        objective(chosen, "image")(its), objective(MATCHES, "image")(maps())[[2, 0, 2]]
    )
    weighted = MATCHES[0].select([1, 0], [0.0, 2.0])
    assert weighted.weights.tolist() == [[0.0] * 3, [2.0] * 3]
    torch.testing.assert_close(weighted.targets, MATCHES[0].targets[[1, 0]])


@each
@pytest.mark.parametrize("ratio", [1e2, 1e3, 1e4])
def test_means_far_beyond_the_stds_cost_no_more_than_the_maps_own_rounding(
    similarity: str, ratio: float
) -> None:
    """Maps in float32 are known to 6e-8 of their means: to 6e-8 · ratio of their stds."""
    known = moments(mean=3 * ratio, std=3)
    far = {}
    for layer, (mean, std) in known.items():
        noise = drawn(ITEMS, CHANNELS[layer], *GRIDS[layer]).double()
        m, s = (torch.from_numpy(values)[:, None, None] for values in (mean, std))
        far[layer] = (noise * s + m).float()
    tolerance = 5e-6 + 6e-8 * ratio
    ours, definition = (make(MATCHES, similarity, known) for make in (objective, by_definition))
    assert_same(ours, definition, far, tolerance=tolerance)


@each
@pytest.mark.parametrize("level", [0.0, -3.0, 1e3])
def test_flat_maps_and_flat_targets_have_a_value_and_a_gradient(
    similarity: str, level: float
) -> None:
    """A map that is level lies `level` stds from its mean; to correlate, rounding is no signal."""
    flat = {layer: torch.full_like(m, level) for layer, m in maps().items()}
    level_targets = [
        MapTarget(m.layer, m.channels, torch.full_like(m.targets, level), m.weights)
        for m in MATCHES
    ]
    for matches, its in ((MATCHES, flat), (level_targets, maps()), (level_targets, flat)):
        value, gradient = value_and_gradient(objective(matches, similarity), its)
        assert value.isfinite().all()
        assert all(slope.isfinite().all() for slope in gradient.values())
        if similarity == "image":
            assert value.abs().max() < 1e-2


@each
def test_a_step_along_the_gradient_gains_what_the_gradient_says(similarity: str) -> None:
    ours, start = objective(MATCHES, similarity), maps()
    leaves = {layer: m.clone().requires_grad_(True) for layer, m in start.items()}
    gradient = torch.autograd.grad(ours(leaves).sum(), list(leaves.values()))
    squared = sum(float(g.double().square().sum()) for g in gradient)
    step = 0.1 / squared**0.5  # a tenth, over all units and positions
    ahead, behind = (
        {layer: m + sign * step * g for (layer, m), g in zip(start.items(), gradient, strict=True)}
        for sign in (1, -1)
    )
    gained = float((ours(ahead) - ours(behind)).double().sum()) / (2 * step)
    assert gained == pytest.approx(squared, rel=2e-3)


@pytest.mark.parametrize("grid", [(4, 4), (7, 5), (2, 3), (3, 9)])
def test_image_similarity_is_correlation(grid: tuple[int, int]) -> None:
    """Where both maps vary by so much that being flat plays no part."""
    g, d = 100 * drawn(1, 1, 4, 4, seed=1), 100 * drawn(1, 1, *grid, seed=2)
    known = {"layer": (np.zeros(1), np.ones(1))}
    matches = [MapTarget("layer", np.array([0]), d, torch.ones(1, 1))]
    ours = objective(matches, "image", known, {"layer": (4, 4)})
    large = [max(4, side) for side in grid]
    enlarged = [
        functional.interpolate(m.double(), large, mode="bilinear").flatten().numpy() for m in (g, d)
    ]
    assert float(ours({"layer": g})) == pytest.approx(np.corrcoef(*enlarged)[0, 1], abs=2e-6)


@pytest.mark.parametrize(("factor", "shift"), [(0.5, 0.0), (1.0, 300.0), (40.0, -1000.0)])
def test_image_similarity_does_not_change_with_contrast_or_brightness(
    factor: float, shift: float
) -> None:
    strong = {layer: 100 * m for layer, m in maps().items()}
    changed = {layer: factor * m + shift for layer, m in strong.items()}
    ours = objective(MATCHES, "image")
    torch.testing.assert_close(ours(changed), ours(strong), rtol=0, atol=1e-5)


def test_image_similarity_is_one_at_the_target_and_minus_one_at_its_opposite() -> None:
    """Targets on the generator's own grids; FLAT takes a thousandth."""
    targets = {layer: drawn(ITEMS, CHANNELS[layer], *grid) for layer, grid in GRIDS.items()}
    ours = objective(all_units(targets), "image")
    assert ours(in_data(targets)).numpy() == pytest.approx(1, abs=2e-3)
    opposite = {layer: -m for layer, m in targets.items()}
    assert ours(in_data(opposite)).numpy() == pytest.approx(-1, abs=2e-3)


def test_dataset_similarity_is_linear_in_standardised_maps() -> None:
    ours = objective(MATCHES, "dataset")
    one, other = (
        {layer: drawn(ITEMS, CHANNELS[layer], *grid, seed=seed) for layer, grid in GRIDS.items()}
        for seed in (1, 2)
    )
    mixed = {layer: 2 * m - 0.5 * other[layer] for layer, m in one.items()}
    expected = 2 * ours(in_data(one)) - 0.5 * ours(in_data(other))
    torch.testing.assert_close(ours(in_data(mixed)), expected, rtol=0, atol=1e-6)


def test_a_target_of_ones_gives_the_mean_of_the_units() -> None:
    standardised = {layer: drawn(ITEMS, CHANNELS[layer], *grid) for layer, grid in GRIDS.items()}
    ones = {layer: torch.ones_like(m) for layer, m in standardised.items()}
    every = torch.cat([m.mean(dim=(2, 3)) for m in standardised.values()], dim=1)
    ours = objective(all_units(ones), "dataset")
    torch.testing.assert_close(ours(in_data(standardised)), every.mean(dim=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [0.01, 0.3, 3.0])
def test_distance_is_zero_at_the_target_and_less_elsewhere(size: float) -> None:
    targets = {layer: drawn(ITEMS, CHANNELS[layer], *grid) for layer, grid in GRIDS.items()}
    ours = objective(all_units(targets), "distance")
    value, gradient = value_and_gradient(ours, in_data(targets))
    assert value.abs().max() < 1e-6
    assert max(float(slope.abs().max()) for slope in gradient.values()) < 1e-6
    off = {layer: m + size * drawn(*m.shape, seed=7) for layer, m in targets.items()}
    assert ours(in_data(off)).numpy() == pytest.approx(-(size**2), rel=0.3)


def all_units(targets: Mapping[str, Tensor]) -> list[MapTarget]:
    """All units of all layers, with the same weight, and targets on their own grids."""
    return [
        MapTarget(layer, np.arange(m.shape[1]), m, torch.ones(m.shape[:2]))
        for layer, m in targets.items()
    ]


def in_data(standardised: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The maps of which these are the standardised."""
    found = {}
    for layer, m in standardised.items():
        mean, std = (torch.from_numpy(v)[:, None, None] for v in moments()[layer])
        found[layer] = (m * std + mean).float()
    return found


@each
def test_the_maps_are_left_as_they_are_and_the_gradient_can_be_had_twice(similarity: str) -> None:
    leaves = {layer: m.requires_grad_(True) for layer, m in maps().items()}
    value = objective(MATCHES, similarity)(leaves).sum()
    first = torch.autograd.grad(value, list(leaves.values()), retain_graph=True)
    again = torch.autograd.grad(value, list(leaves.values()))
    for layer, one, other in zip(leaves, first, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        torch.testing.assert_close(leaves[layer].detach(), maps()[layer], rtol=0, atol=0)


@each
def test_maps_with_channels_last_are_the_same(similarity: str) -> None:
    ours = objective(MATCHES, similarity)
    last = {layer: m.contiguous(memory_format=torch.channels_last) for layer, m in maps().items()}
    value, gradient = value_and_gradient(ours, last)
    expected, slopes = value_and_gradient(ours, maps())
    torch.testing.assert_close(value, expected)
    for layer, slope in slopes.items():
        torch.testing.assert_close(gradient[layer], slope)


def test_only_matched_layers_are_looked_at() -> None:
    ours = objective([MATCHES[7], MATCHES[0]], "image")
    assert ours.layers == ["third", "second"]
    assert ours({layer: m for layer, m in maps().items() if layer != "first"}).shape == (ITEMS,)
