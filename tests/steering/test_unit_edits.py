"""Removal and addition of units: target maps, weights, masks and activity metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import affine_generator
from PIL import Image
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.stages.steering.networks import load_mask
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.unit_edits import Add, Remove, UnitEdit
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.optimise.loss import activation_loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.steering.optimise.settings import OptimisationSettings

UNITS = np.array([1, 6])  # one of each layer


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator(enlarged=2)


@pytest.fixture(scope="module")
def minimum(generator: SteeredGenerator) -> dict[str, np.ndarray]:
    return minimum_activations(generator)


@pytest.fixture(scope="module")
def maps(generator: SteeredGenerator) -> Mapping[str, Tensor]:
    return generator.render(generator.generator.sample_latents([0]), space="z", classes=None)[1]


def distance_to(
    generator: SteeredGenerator,
    targets: Sequence[MapTarget],
    maps: Mapping[str, Tensor],
    units: np.ndarray,
) -> float:
    """Weighted sum of squared distances of some units from their targets."""
    total = 0.0
    channels = generator.channels_by_layer(units)
    for target in targets:
        own = generator.standardise(maps, target.layer, target.channels)
        chosen = np.isin(target.channels, channels.get(target.layer, []))
        distances = (own - target.targets).square().mean(dim=(2, 3)) * target.weights
        total += float(distances[0, torch.from_numpy(chosen)].sum())
    return total


def test_removed_units_have_their_minimum_as_target(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    targets = Remove(UNITS, "two", minimum, map_penalty=5.0).targets(generator, maps)
    for target in targets[:2]:
        (channel,) = target.channels
        mean, std = (m[channel] for m in generator.moments[target.layer])
        lowest = (minimum[target.layer][channel] - mean) / std
        np.testing.assert_allclose(target.targets, np.full(target.targets.shape, lowest), rtol=1e-6)
    assert [(t.layer, t.channels.tolist()) for t in targets] == [
        ("first", [1]), ("second", [1]), ("first", [0, 2, 3, 4]), ("second", [0, 2]),
    ]  # fmt: skip
    others = np.setdiff1d(generator.neurons, UNITS)
    assert distance_to(generator, targets[:2], maps, UNITS) == pytest.approx(1)
    assert distance_to(generator, targets[2:], maps, others) == 0
    one_std_higher = {
        layer: layer_maps + torch.from_numpy(generator.moments[layer][1])[:, None, None]
        for layer, layer_maps in maps.items()
    }
    assert distance_to(generator, targets[2:], one_std_higher, others) == pytest.approx(5)


def test_added_units_are_raised_inside_the_mask(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    mask = np.zeros((8, 8), np.float32)
    mask[:, :4] = 1
    targets = Add(UNITS, "two", minimum, amount=3.0, mask=mask).targets(generator, maps)
    for target in targets[:2]:
        own = generator.standardise(maps, target.layer, target.channels)
        raised = (target.targets - own)[0, 0].numpy()
        np.testing.assert_allclose(raised, np.broadcast_to(raised[:1], raised.shape), atol=1e-12)
        np.testing.assert_allclose(raised[:, [0, -1]], [[3, 0]] * len(raised), atol=1e-12)
        assert (np.diff(raised) <= 1e-12).all()  # the edge is soft on a coarser grid
        assert raised.mean() == pytest.approx(1.5)
    exact = (targets[1].targets - generator.standardise(maps, "second", targets[1].channels))[0, 0]
    np.testing.assert_allclose(exact, 3 * mask, atol=1e-12)


def test_a_coarse_mask_is_enlarged_bilinearly(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    mask = np.array([[0, 1], [0, 1]], np.float32)
    target = Add(np.array([6]), "one", minimum, amount=1.0, mask=mask).targets(generator, maps)[0]
    raised = (target.targets - generator.standardise(maps, "second", target.channels))[0, 0]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None].double(), size=(8, 8), mode="bilinear"
    )[0, 0]
    np.testing.assert_allclose(raised, expected, atol=1e-12)


@pytest.mark.parametrize("kind", [Add, Remove])
def test_an_empty_mask_is_one_line(
    generator: SteeredGenerator,
    maps: Mapping[str, Tensor],
    minimum: dict[str, np.ndarray],
    kind: type[UnitEdit],
) -> None:
    edit = kind(UNITS, "concept 3", minimum, mask=np.zeros((8, 8), np.float32))
    with pytest.raises(RosettaError) as error:
        edit.targets(generator, maps)
    assert str(error.value) == (
        "concept 3: nothing to change inside the mask; name other units or enlarge the mask"
    )


def test_a_mask_is_white_where_units_change(tmp_path: Path) -> None:
    grey = np.array([[0, 51], [255, 102], [0, 0]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", size=(3, 2))
    np.testing.assert_allclose(mask, [[0, 0.2], [1, 0.4], [0, 0]], atol=1e-6)
    with pytest.raises(RosettaError) as error:
        load_mask(tmp_path / "mask.png", size=(64, 48))
    assert str(error.value) == (
        f"mask {tmp_path}/mask.png: has 2×3 pixels, but the generator's images have 48×64; give a "
        "mask of that size"
    )


@pytest.mark.parametrize("white", [255, 65535])
def test_masks_of_16_bits_and_files_of_labels(tmp_path: Path, white: int) -> None:
    path, kind = tmp_path / "mask.png", np.uint16 if white > 255 else np.uint8
    Image.fromarray(np.array([[0, white], [white // 5, 0]], kind)).save(path)
    np.testing.assert_allclose(load_mask(path, size=(2, 2)), [[0, 1], [0.2, 0]], atol=1e-6)
    for label in (0, 1, white // 20):
        Image.fromarray(np.array([[0, label]], kind)).save(path)
        with pytest.raises(RosettaError, match="no pixel of the mask is bright") as caught:
            load_mask(path, size=(1, 2))
        assert "\n" not in str(caught.value)


def test_the_loss_is_the_sum_over_pairs_and_two_penalties(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    """L = Σ weight · squared distance + activity_penalty · mean change of activity."""
    edit = Remove(UNITS, "two", minimum, map_penalty=5.0, activity_penalty=3.0)
    targets = edit.targets(generator, maps)
    settings = OptimisationSettings(regulariser_weight=0.0)
    loss = activation_loss(generator, targets, settings, similarity="distance")
    loss = edit.adjust_loss(loss, generator, maps, targets)
    latent = generator.generator.sample_latents([8])
    generated = generator.generate(latent, space="z", classes=None, layers=loss.layers)
    others = np.setdiff1d(generator.neurons, UNITS)
    table = generator.units.set_index("unit").loc[others]
    change = np.mean(
        [
            abs(float((generated.maps[u.layer] - maps[u.layer])[0, u.channel].mean())) / u.std
            for u in table.itertuples()
        ]
    )
    distances = sum(distance_to(generator, targets, generated.maps, u) for u in (UNITS, others))
    total = loss.total(loss.terms(latent, generated, start=latent))
    assert float(total) == pytest.approx(distances + 3 * change, rel=1e-4)


def shifted_by_std(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], by: Mapping[int, float]
) -> dict[str, Tensor]:
    """Maps with some units raised by that many standard deviations."""
    shifted = {layer: layer_maps.clone() for layer, layer_maps in maps.items()}
    for unit, stds in by.items():
        layer, channel = generator.units.loc[unit, ["layer", "channel"]]
        shifted[layer][:, channel] += float(stds * generator.moments[layer][1][channel])
    return shifted


def test_changes_are_relative_to_the_activity_above_the_minimum(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    def activity(unit: int) -> float:
        layer, channel = generator.units.loc[unit, ["layer", "channel"]]
        above = maps[layer][0, channel].double().mean() - minimum[layer][channel]
        return float(above) / generator.moments[layer][1][channel]

    selected = sum(activity(unit) for unit in UNITS)
    others = sum(activity(unit) for unit in generator.neurons if unit not in UNITS)
    by = {1: -0.5, 6: -0.25, 0: 0.4, 2: -0.3, 7: 0.1}
    edit = Remove(UNITS, "two", minimum)
    assert edit.map_metrics(generator, maps, shifted_by_std(generator, maps, by)) == pytest.approx(
        {
            "activity of the selected units before (std)": selected / 2,
            "activity of the selected units after (std)": (selected - 0.75) / 2,
            "relative change of the selected units": -0.75 / selected,
            # increases and decreases do not cancel
            "relative change of the other Rosetta neurons": 0.8 / others,
        },
        rel=1e-4,
    )


def test_without_other_neurons_their_change_is_not_reported(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], minimum: dict[str, np.ndarray]
) -> None:
    edit = Remove(generator.neurons, "all", minimum)
    metrics = edit.map_metrics(generator, maps, maps)
    assert metrics["relative change of the selected units"] == 0
    assert not [name for name in metrics if "other" in name]


def test_captions(minimum: dict[str, np.ndarray]) -> None:
    mask = np.ones((8, 8), np.float32)
    assert Remove(UNITS, "concept 3", minimum).caption == "removed concept 3"
    assert Add(UNITS, "a/1, b/2", minimum, mask=mask).caption == "added a/1, b/2 inside a mask"
