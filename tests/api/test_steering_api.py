"""Steering in memory gives the jobs' numbers, leaves models as they are, refuses bad input."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from affine import affine_generator
from PIL import Image
from torch import nn

import rosetta_core as rosetta
from rosetta_core import RosettaError
from rosetta_core.api.steering.inputs import mask_of, targets_of
from rosetta_core.api.steering.options import job_of, settings_of_options
from rosetta_core.config.steering import ActivationMaximisation, Edit, Inversion, PivotalTuning
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.activation_maximisation import maximise_activation
from rosetta_core.steering.jobs.editing import EditSource
from rosetta_core.steering.jobs.editing import edit as edit_image
from rosetta_core.steering.jobs.inversion import invert as invert_image
from rosetta_core.steering.jobs.transform_edits import Shift
from rosetta_core.steering.jobs.unit_edits import Remove
from rosetta_core.steering.map_targets import EncoderView, matched_pairs
from rosetta_core.steering.metrics.perceptual import FeatureDistance
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.optimise.settings import GuidedSettings, OptimisationSettings

NORMAL = {"mean": [0.5] * 3, "std": [0.5] * 3}
FEW: dict[str, Any] = {"steps": 4, "restarts": 2}
SIDE = 16  # of the generator's images


class Toy(nn.Module):
    """A generator of images of 4 · `scale` pixels."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(4, 12, 4)
        self.paint = nn.ConvTranspose2d(12, 3, scale, stride=scale)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.paint(self.grow(latents[:, :, None, None]).relu()).tanh()


def seeded(seed: int, build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().eval()


@cache
def toy() -> rosetta.Model:
    return rosetta.wrap(seeded(0, Toy), "grow", latent_size=4, check=False)


@cache
def small(seed: int) -> rosetta.Model:
    network = seeded(
        seed,
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.Sigmoid(), nn.Conv2d(6, 4, 3, stride=2, padding=1)
        ),
    )
    return rosetta.wrap(
        network, ["1", "2"], input={"size": SIDE, **NORMAL}, name=f"small{seed}", check=False
    )


def conditional() -> rosetta.Model:
    """A generator of three classes with the latent spaces z, w and w+."""
    generator = replace(affine_generator(classes=3, enlarged=2).generator, output_range=(-6, 6))
    return rosetta.wrap(generator, name="affine", check=False)


@pytest.fixture(scope="module")
def mined() -> rosetta.Mined:
    generator = toy()
    return rosetta.mine(generator, [small(1), small(2)], rosetta.sample(generator, 12), k=3)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def generator_of(mined: rosetta.Mined) -> SteeredGenerator:
    """The generator with the whole table of its units, as the workflow builds it."""
    units = mined.units(mined.pivot)
    neurons = np.unique(mined.rosetta["pivot_unit"]).astype(np.int64)
    network = mined.model(mined.pivot).network
    return SteeredGenerator(mined.pivot, network, units, neurons, torch.device("cpu"))


def distance_of(mined: rosetta.Mined, name: str) -> FeatureDistance:
    model = mined.model(name)
    names = [layer.name for layer in model.layers]
    return FeatureDistance(model.network, name=name, layers=names)


def test_inversions_are_those_of_jobs(mined: rosetta.Mined, picture: np.ndarray) -> None:
    views = [
        EncoderView(
            name,
            mined.model(name).network,
            mined.units(name),
            matched_pairs(
                name,
                rosetta=mined.rosetta,
                best_buddies=mined.best_buddies(name),
                pairs="rosetta",
            ),
        )
        for name in mined.encoders
    ]
    settings = {**FEW, "perceptual_weight": 0.5, "pixel_weight": 1.0}
    expected = invert_image(
        generator_of(mined),
        picture,
        views,
        loss_distance=distance_of(mined, "small1"),
        evaluation_distance=distance_of(mined, "small2"),
        settings=GuidedSettings(**settings),
    )
    found = mined.invert(picture, **settings)
    assert np.array_equal(found.latents, expected.latents[expected.best])
    assert np.array_equal(found.images, expected.after)
    assert np.array_equal(found.target[0], picture)
    pd.testing.assert_frame_equal(found.restart_measures.assign(item=""), expected.table)
    by_hand = rosetta.invert(
        mined.model("Toy"), picture, mined.pairs(), encoders=[small(1), small(2)], **settings
    )
    assert np.array_equal(by_hand.latents, found.latents)


def test_maximisations_and_edits_are_those_of_jobs(mined: rosetta.Mined) -> None:
    generator, neurons = generator_of(mined), mined.neurons(0)
    shown = maximise_activation(
        generator,
        neurons["unit"].to_numpy(),
        target_std=2.0,
        settings=OptimisationSettings(**FEW, regulariser="start", regulariser_weight=1.0),
    )
    assert np.array_equal(
        mined.show(0, target_std=2.0, **FEW).latents, shown.latents[list(shown.best)]
    )
    source = EditSource(generator.generator.sample_latents([5]), "seed 5")
    minimum = minimum_activations(generator)
    changes = {
        "shift": (Shift(-0.25, 0.125), {"dx": -0.25, "dy": 0.125}),
        "remove": (Remove(neurons["unit"].to_numpy(), "concept 0", minimum), {"concept": 0}),
    }
    for kind, (change, options) in changes.items():
        settings = OptimisationSettings(**FEW, regulariser="start", regulariser_weight=0.01)
        expected = edit_image(generator, source, change, settings=settings)
        found = mined.edit(5, kind, **options, **FEW)
        assert np.array_equal(found.latents, expected.latents[expected.best])
        assert found.about == [expected.about]
        assert np.array_equal(found.before, expected.before)


SECTIONS = {
    Inversion: {"image": {"seed": 0}},
    ActivationMaximisation: {"concept": 0},
    Edit: {"source_seed": 0, "kind": "zoom"},
    PivotalTuning: {"source_job": "inversion"},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_options_left_out_are_the_configuration_s(section: type) -> None:
    given = {"kind": "zoom"} if section is Edit else {}
    configured = section.model_validate({"name": "a", **SECTIONS[section]}).model_dump(mode="json")
    found = settings_of_options(job_of(section, {}, name="a", **given))
    assert found == {key: configured[key] for key in found}
    named = {"name", *SECTIONS[section], "encoders", "pairs", "concept", "unit", "units"}
    assert set(configured) - set(found) <= {*named, "source_job", "mask", "function", "kind"}


@pytest.mark.parametrize("owner", [rosetta, rosetta.Mined, rosetta.Run])
def test_help_shows_the_options_with_their_defaults(owner: Any) -> None:
    for name, section in zip(("invert", "show", "edit", "tune"), SECTIONS, strict=True):
        shown = inspect.signature(getattr(owner, name)).parameters
        fields = section.model_fields
        assert {"steps", "learning_rate", "space", "callback", "patience"} <= set(shown)
        own = {"image", "encoders", "pairs", "concept", "unit", "units", "kind", "mask", "function"}
        for option in set(shown) & set(fields) - own:
            assert shown[option].default == fields[option].default
        assert not any(part.kind is part.VAR_KEYWORD for part in shown.values())


def test_nothing_is_written_and_models_stay_as_they_were(
    mined: rosetta.Mined, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    networks = [mined.model(name).network.network for name in mined.models]
    for network in networks:
        network.zero_grad(set_to_none=True)  # jobs of other tests
    networks[1][0].requires_grad_(False)  # a mixture, as in a network that is fine-tuned
    flags = [[p.requires_grad for p in network.parameters()] for network in networks]
    states = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks]
    threads = torch.get_num_threads()
    inverted = mined.invert(picture, perceptual_weight=1.0, **FEW)
    mined.show(0, **FEW)
    mined.edit(inverted, "zoom", **FEW)
    mined.tune(inverted, steps=2)
    with pytest.raises(ZeroDivisionError):
        mined.invert(picture, callback=lambda *_: 1 // 0, **FEW)
    for network, flag, state in zip(networks, flags, states, strict=True):
        assert [p.requires_grad for p in network.parameters()] == flag
        assert all(p.grad is None for p in network.parameters())
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
        assert not any(module._forward_hooks for module in network.modules())
    networks[1][0].requires_grad_(True)
    assert torch.get_num_threads() == threads
    assert not list(tmp_path.iterdir())


def test_images_are_taken_in_every_form(
    mined: rosetta.Mined, picture: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    floats = torch.from_numpy(picture).permute(2, 0, 1) / 255
    forms = {
        "path": tmp_path / "a.png",
        "text": str(tmp_path / "a.png"),
        "PIL": Image.open(tmp_path / "a.png"),
        "keys": {"file": str(tmp_path / "a.png")},
        "tensor": floats,
        "bytes tensor": torch.from_numpy(picture).permute(2, 0, 1),
        "float array": picture / 255,
        "batch": picture[None],
        "list": [picture],
        "images": rosetta.images(picture[None]),
    }
    generator = generator_of(mined)
    for name, form in forms.items():
        ((found, _),) = targets_of(form, generator, class_label=None)
        assert np.array_equal(found, picture), name
    assert np.array_equal(mined.invert(forms["PIL"], **FEW).target[0], picture)
    large = np.full((40, 60, 3), 10, np.uint8)
    large[:, 10:50] = 200  # the central square
    assert (mined.invert(large, **FEW).target == 200).all()
    assert (mined.invert({"seed": 3}, **FEW).target == mined.edit(3, "zoom", **FEW).before).all()


def test_several_images_are_inverted_one_by_one(mined: rosetta.Mined, picture: np.ndarray) -> None:
    both = mined.invert([picture, picture[::-1].copy()], **FEW)
    single = [mined.invert(x, **FEW) for x in (picture, picture[::-1].copy())]
    assert np.array_equal(both.latents, np.concatenate([x.latents for x in single]))
    assert len(both) == 2 and list(both.measures.index) == [0, 1]
    assert both.restart_measures.groupby("item")["restart"].nunique().tolist() == [2, 2]
    assert both.losses.groupby(["item", "restart"]).size().tolist() == [5] * 4
    edited = mined.edit(both, "shift", dx=0.5, **FEW)
    assert edited.before.shape == (2, SIDE, SIDE, 3)
    assert np.array_equal(edited.before, both.images)


def test_the_result_has_images_latents_losses_measures_and_maps(
    mined: rosetta.Mined, picture: np.ndarray, tmp_path: Path
) -> None:
    result = mined.invert(picture, pixel_weight=1.0, **FEW)
    assert result.images.shape == result.before.shape == (1, SIDE, SIDE, 3)
    assert result.images.dtype == np.uint8
    generated = rosetta.sample(mined.model("Toy"), 1).pixels.shape
    assert generated == result.images.shape
    columns = ["item", "restart", "step", "total", "similarity", "regulariser", "pixels"]
    assert list(result.losses.columns) == columns
    total = -result.losses["similarity"] + 0.02 * result.losses["regulariser"]
    np.testing.assert_allclose(result.losses["total"], total + result.losses["pixels"], atol=1e-5)
    last = result.losses.query("step == 4").set_index("restart")["total"]
    best = result.restart_measures.query("best")["restart"].unique()
    assert best.tolist() == [last.idxmin()]
    assert {"PSNR (dB)", "SSIM", "similarity after"} <= set(result.measures.columns)
    (maps,) = result.maps
    assert all(set(columns) == {"map of the encoder", "map of the result"} for columns in
               maps.values())  # fmt: skip
    assert maps and all(x.ndim == 2 for columns in maps.values() for x in columns.values())
    assert result.trajectories[0].shape == (5, SIDE, SIDE, 3)
    assert np.array_equal(result.trajectories[0][-1], result.images[0])
    assert result.settings["steps"] == 4 and result.settings["regulariser"] == "l2"
    assert repr(result) == (
        "<SteeringResult inversion: 1 image of 16 × 16 pixels, 4 steps; image 0, matched through "
        "small1, small2>"
    )
    page = result._repr_html_()
    assert "data:image/png;base64," in page and "PSNR" in page
    for figure in (result.plot(), result.plot_maps(), result.plot_losses()):
        figure.savefig(tmp_path / "figure.png")
    (path,) = result.save_images(tmp_path / "new" / "images")
    assert np.array_equal(np.asarray(Image.open(path)), result.images[0])
    for item in (1, -1, True, "0"):
        with pytest.raises(RosettaError, match="image"):
            result.plot_maps(item)
    with pytest.raises(RosettaError, match="is a file; give a folder"):
        result.save_images(path)


def test_every_restart_of_a_maximisation_is_an_image(mined: rosetta.Mined) -> None:
    result = mined.show(unit="grow/2", steps=6, restarts=3)
    assert result.images.shape[0] == result.latents.shape[0] == len(result.measures) == 3
    after = result.measures["activity after (std of random images)"]
    assert (after.round(3).diff().dropna() <= 0).all()  # the most active first
    assert (after > result.measures["activity before (std of random images)"]).all()
    assert result.losses.groupby("item").size().tolist() == [7] * 3
    assert result.about == ["random images, optimised to raise grow/2 by 5 std"]
    single = mined.show(unit="Toy/grow/2", steps=6, restarts=1)
    assert len(single) == 1 and len(single.measures) == 1


def mirror(maps: np.ndarray, layer: str, channels: np.ndarray) -> np.ndarray:
    return maps[:, :, ::-1]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("zoom", {}),
        ("shift", {"dx": 0.25}),
        ("copy_paste", {"dx": 0.25}),
        ("remove", {"units": ["grow/1", "Toy/grow/3"]}),
        ("remove", {"units": "grow/1", "mask": np.eye(SIDE, dtype=bool)}),
        ("add", {"concept": 0, "amount": 1.5}),
        ("custom", {"function": mirror}),
    ],
)
def test_every_kind_of_edit_runs(mined: rosetta.Mined, kind: str, options) -> None:
    result = mined.edit(0, kind, **options, **FEW)
    assert result.images.shape == (1, SIDE, SIDE, 3)
    assert result.settings["kind"] == kind
    assert {"before", "edited map", "after"} == set(next(iter(result.maps[0].values())))
    assert "features of small2 between before and after" in result.measures.columns
    neurons = mined.neurons()
    if kind == "shift":
        by_hand = rosetta.edit(mined.model("Toy"), [0], "shift", neurons, dx=0.25, **FEW)
        assert np.array_equal(by_hand.latents, result.latents)
        assert not [x for x in by_hand.measures.columns if x.startswith("features")]


def test_masks_are_taken_in_every_form(mined: rosetta.Mined, tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, 4:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    forms = [
        mask,
        tmp_path / "mask.png",
        str(tmp_path / "mask.png"),
        Image.fromarray(mask),
        mask > 0,
        mask / 255,
        torch.from_numpy(mask),
    ]
    for form in forms:
        found = mask_of(form, generator_of(mined), class_label=None)
        assert found.dtype == np.float32 and np.array_equal(found, mask / 255)
    masked = mined.edit(0, "add", concept=0, mask=mask, **FEW)
    assert not np.array_equal(mined.edit(0, "add", concept=0, **FEW).latents, masked.latents)


def test_tuning_returns_a_tuned_copy(mined: rosetta.Mined, picture: np.ndarray) -> None:
    inverted = mined.invert(picture, **FEW)
    tuned = mined.tune(inverted, steps=30, learning_rate=0.003)
    assert np.array_equal(tuned.before, inverted.images)
    assert np.array_equal(tuned.target[0], picture)
    assert np.array_equal(tuned.latents, inverted.latents)
    gain = tuned.measures["PSNR (dB) after"] - tuned.measures["PSNR (dB) before"]
    assert gain.item() > 0.5
    own = tuned.generator
    assert own.name == "Toy" and own.network is not mined.model("Toy").network
    again = mined.edit(tuned.latents, "zoom", generator=own, **FEW)
    assert np.array_equal(again.before, tuned.images)
    by_hand = rosetta.tune(
        mined.model("Toy"),
        inverted.latents[0],
        picture,
        loss_distance=small(1),
        steps=30,
        learning_rate=0.003,
    )
    assert np.array_equal(by_hand.images, tuned.images)
    with pytest.raises(RosettaError, match="tuning: has no maps"):
        tuned.plot_maps()
    pixels = rosetta.tune(mined.model("Toy"), 3, picture, perceptual_weight=0, steps=2)
    assert list(pixels.losses.columns) == ["item", "restart", "step", "total", "pixels"]


def test_a_callback_sees_every_step_and_may_stop(mined: rosetta.Mined, picture) -> None:
    seen: list[tuple[int, np.ndarray, torch.Tensor]] = []

    def watch(step: int, loss: np.ndarray, latents: torch.Tensor) -> None:
        seen.append((step, loss.copy(), latents.clone()))
        latents.zero_()  # copies: nothing changes
        loss[:] = 0

    plain = mined.invert(picture, **FEW)
    watched = mined.invert(picture, callback=watch, **FEW)
    assert np.array_equal(watched.latents, plain.latents)
    assert watched.losses.equals(plain.losses)
    assert [step for step, _, _ in seen] == [0, 1, 2, 3, 4]
    totals = plain.losses.pivot(index="step", columns="restart", values="total").to_numpy()
    assert np.array_equal(np.stack([loss for _, loss, _ in seen]), totals.astype(np.float32))
    assert plain.latents[0] in seen[-1][2].numpy()
    seen.clear()
    mined.invert(picture, callback=watch, every=3, steps=7, restarts=1)
    assert [step for step, _, _ in seen] == [0, 3, 6, 7]
    stopped = mined.invert(picture, callback=lambda step, *_: step == 2, **FEW)
    assert stopped.losses["step"].max() == 2 and "2 of 4 steps" in repr(stopped)
    taken = plain.losses.query("step <= 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(stopped.losses, taken)
    assert np.array_equal(stopped.trajectories[0][-1], stopped.images[0])
    for other in (1, "yes", [True], np.float32(3), None):  # what a list's method returns
        kept = mined.invert(picture, callback=lambda *_, value=other: value, **FEW)
        assert kept.losses["step"].max() == 4
    assert mined.show(0, callback=lambda *_: np.True_, **FEW).losses["step"].max() == 0


def test_a_callback_of_a_tuning_sees_the_latent(mined: rosetta.Mined, picture) -> None:
    seen = []
    result = mined.tune(
        torch.zeros(1, 4), picture, steps=3, callback=lambda *step: seen.append(step)
    )
    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    assert all(torch.equal(latent, torch.zeros(1, 4)) for _, _, latent in seen)
    assert np.allclose([loss[0] for _, loss, _ in seen], result.losses["total"])


def test_patience_ends_an_optimisation_that_no_longer_improves(mined: rosetta.Mined) -> None:
    long = {"steps": 60, "restarts": 2, "learning_rate": 1e-9}
    assert mined.show(0, **long).losses["step"].max() == 60
    for patience in (1, 5):
        found = mined.show(0, patience=patience, tolerance=1e-3, **long)
        assert found.losses["step"].max() == patience
    # one of two restarts that still improves is enough to go on
    falling = mined.show(0, steps=12, restarts=2, patience=3)
    lowest = falling.losses.pivot(index="step", columns="item", values="total")
    still = (lowest.diff() < 0).any(axis=1)
    assert falling.losses["step"].max() == 12 or not still.iloc[-3:].any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_enabled_whatever_the_caller_s_mode(mined: rosetta.Mined, mode) -> None:
    expected = mined.show(0, **FEW).latents
    with mode():
        assert np.array_equal(mined.show(0, **FEW).latents, expected)


def test_concepts_are_given_by_number_or_id(mined: rosetta.Mined, picture: np.ndarray) -> None:
    name = mined.concepts["concept_id"].iloc[0]
    assert mined.pairs(name).equals(mined.pairs(0))
    assert mined.neurons(name).equals(mined.neurons(0))
    assert set(mined.pairs(0)["pivot_unit"]) == set(mined.neurons(0)["unit"])
    assert set(mined.pairs(0)["pivot_unit"]) < set(mined.pairs()["pivot_unit"])
    by_id, by_number = (mined.invert(picture, concept=x, **FEW) for x in (name, 0))
    assert np.array_equal(by_id.latents, by_number.latents)
    assert not np.array_equal(by_id.latents, mined.invert(picture, **FEW).latents)
    buddies = mined.pairs(kind="best_buddies", encoders="small2")
    assert set(buddies["model"]) == {"small2"}
    assert len(buddies) == len(mined.best_buddies("small2"))
    assert buddies["corr"].is_monotonic_decreasing
    units = mined.units().set_index("id")
    for side in ("", "pivot_"):
        for statistic in ("mean", "std"):
            expected = units.loc[buddies[f"{side}id"], statistic].to_numpy()
            assert np.array_equal(buddies[f"{side}{statistic}"], expected)


def test_pairs_may_be_filtered(mined: rosetta.Mined, picture: np.ndarray) -> None:
    pairs = mined.pairs()
    strong = pairs[pairs["corr"] >= pairs["corr"].median()]
    names = list(dict.fromkeys(strong["model"]))
    result = rosetta.invert(
        mined.model("Toy"), picture, strong, encoders=[mined.model(x) for x in names], **FEW
    )
    assert len(result) == 1


def test_classes_and_latent_spaces(picture: np.ndarray) -> None:
    model = conditional()
    samples = rosetta.sample(model, 12, classes=[2])
    mined = rosetta.mine(model, [small(1), small(2)], samples, k=4)
    for space, shape in (("z", (1, 6)), ("w", (1, 6)), ("w+", (1, 2, 6))):
        result = mined.invert(picture, space=space, steps=2, restarts=1)
        assert result.latents.shape == shape and result.settings["class_label"] == 2
        edited = mined.edit(result, "zoom", steps=2)
        assert edited.settings["space"] == space and edited.settings["class_label"] == 2
        assert np.array_equal(edited.before, result.images)
        tuned = mined.tune(result, steps=1)
        assert tuned.settings["space"] == space
    other = mined.edit(0, "zoom", steps=2, class_label=1)
    assert not np.array_equal(other.before, mined.edit(0, "zoom", steps=2).before)
    with pytest.raises(RosettaError, match="has classes 0 to 2, but class_label is 3"):
        mined.show(0, class_label=3, **FEW)
    with pytest.raises(RosettaError, match="has classes 0 to 2, but class_label is missing"):
        rosetta.show(model, mined.neurons(0), **FEW)
    with pytest.raises(RosettaError, match=r"'w' is not that of the latents, which is 'w\+'"):
        mined.edit(result, "zoom", space="w", **FEW)
    with pytest.raises(RosettaError, match=r"latents: shape \(1, 6\) is not one of w\+"):
        mined.edit(np.zeros((1, 6)), "zoom", space="w+", **FEW)


def units_of(mined: rosetta.Mined, **changes: Any) -> pd.DataFrame:
    return mined.neurons(0).assign(**changes)


def meta(model: rosetta.Model) -> rosetta.Model:
    """A model that is on another device."""
    network = deepcopy(model.network)
    network.network.to("meta")
    return replace(model, network=network)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # concepts, units, encoders
        (lambda m, x: m.invert(x, concept=99), "there is no concept 99"),
        (lambda m, x: m.invert(x, concept="grow/99"), "grow/99"),
        (lambda m, x: m.show(), "show: give concept or unit; neither is given"),
        (lambda m, x: m.show(0, unit="grow/1"), "show: give concept or unit; both are given"),
        (
            lambda m, x: m.show(unit="grow/99"),
            "there is no channel '99' in grow of Toy; use 0 to",
        ),
        (lambda m, x: m.show(unit="grwo/1"), "'grwo' of Toy was not mined (did you mean 'grow'?)"),
        (lambda m, x: m.show(unit=3), "show: unit: 3 is not layer/channel"),
        (lambda m, x: m.invert(x, encoders=["smal1"]), "did you mean 'small1'"),
        (lambda m, x: m.invert(x, encoders=["Toy"]), "'Toy' is not the name of an encoder; use"),
        (lambda m, x: m.invert(x, encoders=[]), "encoders: there are none; give at least one"),
        (lambda m, x: m.invert(x, pairs="all"), "kind: 'all' is not a kind of pairs"),
        # images
        (lambda m, x: m.invert(x[0]), "image: shape (16, 3) is not one of an image"),
        (lambda m, x: m.invert(x[None, None]), "image: shape (1, 1, 16, 16, 3) is not one"),
        (lambda m, x: m.invert(x.transpose(2, 0, 1)), "has no axis of 3 colours in its place"),
        (lambda m, x: m.invert(x * NAN), "pixels are not finite"),
        (lambda m, x: m.invert(x / 127.5 - 1), "not in 0..1; give uint8"),
        (lambda m, x: m.invert(x.astype(int)), "type int64 is neither uint8 nor float"),
        (lambda m, x: m.invert([]), "image: there is none; give at least one"),
        (lambda m, x: m.invert(None), "image: NoneType is not an image"),
        (lambda m, x: m.invert(3), "image: int is not an image"),
        (lambda m, x: m.invert("nowhere.png"), "nowhere.png"),
        (lambda m, x: m.invert("/tmp"), "image: /tmp is a folder"),
        (lambda m, x: m.invert({"sample": "dog"}), "image: sample: "),
        (lambda m, x: m.invert(x[:0]), "image: shape (0, 16, 3) is not one of an image"),
        # options
        (lambda m, x: m.invert(x, steps=0), "invert: steps: "),
        (lambda m, x: m.invert(x, steps=2.5), "invert: steps: "),
        (lambda m, x: m.invert(x, step=5), "invert: unknown option 'step' (did you mean 'steps'"),
        (lambda m, x: m.invert(x, name="a"), "invert: unknown option 'name'"),
        (lambda m, x: m.invert(x, learning_rate=NAN), "invert: learning_rate: "),
        (lambda m, x: m.invert(x, similarity="cosine"), "invert: similarity: "),
        (lambda m, x: m.invert(x, seed=-1), "invert: seed: "),
        (lambda m, x: m.invert(x, activation_weight=0, regulariser_weight=0), "all weights are 0"),
        (lambda m, x: m.invert(x, space="w"), "space: Toy has no latent space 'w'; it has z"),
        (lambda m, x: m.invert(x, class_label=1), "Toy has no classes, but class_label is 1"),
        (lambda m, x: m.show(0, target_std=0), "show: target_std: "),
        (lambda m, x: m.invert(x, callback=3), "invert: callback: 3 is not a function"),
        (lambda m, x: m.invert(x, every=0), "invert: every: 0 is not a whole number from 1 on"),
        (lambda m, x: m.invert(x, patience=0), "invert: patience: 0 is not a whole number"),
        (lambda m, x: m.invert(x, tolerance=NAN), "invert: tolerance: nan is not a number"),
        (lambda m, x: m.invert(x, tolerance=-1), "invert: tolerance: -1 is not a number"),
        # edits
        (lambda m, x: m.edit(0, "shfit"), "'shfit' is not a kind of edit; use zoom, shift"),
        (lambda m, x: m.edit(0, 3), "3 is not a kind of edit"),
        (lambda m, x: m.edit(0, "zoom", dx=0.1), "edit: zoom takes no dx; leave it out"),
        (lambda m, x: m.edit(0, "shift", amount=1), "edit: shift takes no amount; it takes dx, dy"),
        (lambda m, x: m.edit(0, "shift", dx=2), "edit: dx: "),
        (lambda m, x: m.edit(0, "zoom", concept=0), "edit: zoom takes no units"),
        (lambda m, x: m.edit(0, "zoom", mask=np.eye(16)), "edit: zoom takes no mask"),
        (lambda m, x: m.edit(0, "remove"), "edit: remove: give concept or units; neither is"),
        (lambda m, x: m.edit(0, "custom"), "edit: custom needs function; give function"),
        (lambda m, x: m.edit(0, "custom", function=3), "function: int is not a function"),
        (
            lambda m, x: m.edit(0, "custom", function=lambda maps, *_: maps * NAN),
            "returned maps that are not finite",
        ),
        # masks
        (lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(4)), "mask: shape (4, 4) is not"),
        (
            lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(16) * NAN),
            "mask: values are not in",
        ),
        (lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(16) * 2), "mask: values are not in"),
        (lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(16, dtype=int)), "mask: type int64"),
        (lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(16) * 0), "no pixel is bright"),
        (
            lambda m, x: m.edit(0, "add", concept=0, mask=np.eye(16, dtype=np.uint8)),
            "no pixel is bright (the largest value is 0.0039",
        ),
        (lambda m, x: m.edit(0, "add", concept=0, mask=[[1]]), "mask: list is not a mask"),
        # latents
        (lambda m, x: m.edit(np.zeros((1, 5)), "zoom"), "latents: shape (1, 5) is not one of z of"),
        (lambda m, x: m.edit(np.zeros((0, 4)), "zoom"), "latents: shape (0, 4) is not one of z of"),
        (lambda m, x: m.edit(np.zeros(4) * NAN, "zoom"), "latents: are not finite"),
        (lambda m, x: m.edit(np.zeros(4, int), "zoom"), "latents: type torch.int64 is not a float"),
        (lambda m, x: m.edit(np.array(["a"] * 4), "zoom"), "latents: type <U1"),
        (lambda m, x: m.edit(-1, "zoom"), "seed: -1 is not a whole number"),
        (lambda m, x: m.edit("photo.png", "zoom"), "latents: str is neither latents nor seeds"),
        (lambda m, x: m.edit([], "zoom"), "latents: there are none"),
        (lambda m, x: m.tune(np.zeros((2, 4)), x), "tune: 2 latents and 1 images; give one of"),
        (lambda m, x: m.tune(0), "tune: there is no image to reproduce; give image"),
        # models and distances
        (lambda m, x: rosetta.show(small(1), m.neurons(0)), "small1: is not a generator"),
        (lambda m, x: rosetta.show(seeded(0, Toy), m.neurons(0)), "Toy is not a model; use"),
        (lambda m, x: rosetta.show("dcgann", m.neurons(0)), "did you mean 'dcgan'"),
        (
            lambda m, x: rosetta.invert(toy(), x, m.pairs(), encoders=[small(1), toy()]),
            "encoders: Toy is a generator; give an encoder",
        ),
        (
            lambda m, x: rosetta.invert(toy(), x, m.pairs(), encoders=[small(1)]),
            "pairs: small2 is not among the encoders (small1)",
        ),
        (
            lambda m, x: rosetta.invert(
                toy(), x, m.pairs(), encoders=[small(i) for i in (1, 2, 3)]
            ),
            "small3: has no pairs; leave the encoder out",
        ),
        (
            lambda m, x: rosetta.invert(toy(), x, m.pairs(), encoders=[small(1), small(1)]),
            "encoders: small1 is there twice",
        ),
        (
            lambda m, x: rosetta.invert(toy(), x, m.pairs(), encoders=[meta(small(1)), small(2)]),
            "small1: is on meta, but Toy is on cpu; load both with the same device",
        ),
        (lambda m, x: rosetta.invert(toy(), x, m.pairs(), encoders=3), "int is not a list of"),
        (lambda m, x: m.invert(x, evaluation_distance=3), "evaluation_distance: int is not a"),
        (lambda m, x: m.invert(x, evaluation_distance={"size": 16}), "give one of encoder, lpips"),
        (lambda m, x: m.invert(x, evaluation_distance="Toy"), "Toy is a generator; give an"),
        (
            lambda m, x: m.invert(x, evaluation_distance={"encoder": "small1", "layers": ["9"]}),
            "'9' matches no",
        ),
        (
            lambda m, x: rosetta.tune(toy(), 0, x, steps=1),
            "perceptual_weight: is 1 without a perceptual distance",
        ),
        (lambda m, x: m.show(0, generator=small(1)), "small1: is not a generator"),
        # tables
        (lambda m, x: rosetta.show(toy(), ["grow/1"]), "units: list is not a table; see neurons()"),
        (lambda m, x: rosetta.show(toy(), m.concepts), "units: the table lacks layer, channel"),
        (lambda m, x: rosetta.show(toy(), m.neurons()[:0]), "units: the table has no rows"),
        (lambda m, x: rosetta.show(toy(), m.units("small1")), "has units of small1, but the model"),
        (lambda m, x: rosetta.show(toy(), units_of(m, layer="grwo")), "is not a layer of Toy (did"),
        (
            lambda m, x: rosetta.show(toy(), units_of(m, channel=12)),
            "has no channel 12; use 0 to 11",
        ),
        (lambda m, x: rosetta.show(toy(), units_of(m, channel=NAN)), "has no channel nan; use"),
        (lambda m, x: rosetta.show(toy(), units_of(m, std=0.0)), "is dead or has no mean and"),
        (lambda m, x: rosetta.show(toy(), units_of(m, alive=False)), "is dead or has no mean and"),
        (lambda m, x: rosetta.show(toy(), units_of(m, mean=NAN)), "is dead or has no mean and"),
        (lambda m, x: rosetta.show(toy(), units_of(m, std="a")), "column std has no numbers"),
        (
            lambda m, x: rosetta.invert(toy(), x, m.neurons(), encoders=[small(1)]),
            "pairs: the table lacks pivot_layer, pivot_channel, pivot_mean, pivot_std; see pairs()",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_work(
    call, message: str, mined: rosetta.Mined, picture: np.ndarray
) -> None:
    with pytest.raises(RosettaError) as error:
        call(mined, picture)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_small_images_are_measured_without_ssim(mined: rosetta.Mined) -> None:
    model = rosetta.wrap(seeded(0, lambda: Toy(2)), "grow", latent_size=4, name="Toy", check=False)
    result = rosetta.edit(model, 0, "shift", mined.neurons(), **FEW)
    assert result.images.shape == (1, 8, 8, 3)
    assert "PSNR (dB) between before and after" in result.measures.columns
    assert "SSIM between before and after" not in result.measures.columns


def test_an_encoder_as_the_pivot_cannot_be_steered(picture: np.ndarray) -> None:
    images = np.random.default_rng(1).integers(0, 256, (10, SIDE, SIDE, 3), dtype=np.uint8)
    result = rosetta.mine(small(1), [small(2)], images, k=4)
    for call in (
        lambda: result.invert(picture),
        lambda: result.show(0),
        lambda: result.edit(0, "zoom"),
        lambda: result.tune(0, picture),
    ):
        with pytest.raises(RosettaError, match="small1: is not a generator; steering needs a"):
            call()
