"""BigGAN-deep draws what the published implementation drew, and its published networks fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden import FOLDER, Golden, assert_near, golden_names
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.biggan import ARCHITECTURES, build
from rosetta_core.zoo.generators.biggan_network import BigGANDeep, statistics_rows
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.network import Generator
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.local import FileWeights

GOLDENS = golden_names("biggan-deep")
CASES = [(name, case) for name in GOLDENS for case in Golden(name).about["cases"]]
SMALL: dict[str, Any] = {
    "output_dim": 16,
    "z_dim": 6,
    "class_embed_dim": 6,
    "channel_width": 4,
    "num_classes": 5,
    "layers": [[True, 16, 8], [True, 8, 1]],
    "attention_layer_position": 1,
    "eps": 1e-4,
    "n_stats": 11,
}


def of_golden(golden: Golden, *, truncation: float = 1.0) -> Generator:
    """The generator of a golden with its weights, fitted strictly."""
    built = build(arguments=golden.about["init_kwargs"], truncation=truncation)
    built.network.load_state_dict(golden.under("state"))
    built.network.eval().requires_grad_(False)
    return built


def inputs(golden: Golden, truncation: float) -> tuple[torch.Tensor, torch.Tensor]:
    return truncation * golden.array("in/z_base"), golden.array("in/class_vector")


def small(**changes: Any) -> Generator:
    torch.manual_seed(0)
    built = build(arguments={**SMALL, **changes})
    built.network.eval().requires_grad_(False)
    return built


@pytest.mark.parametrize("name", GOLDENS)
def test_state_has_the_published_names_order_and_shapes(name: str) -> None:
    golden = Golden(name)
    state = build(arguments=golden.about["init_kwargs"]).network.state_dict()
    found = [(entry, list(value.shape)) for entry, value in state.items()]
    assert found == [(entry, facts["shape"]) for entry, facts in golden.about["state"].items()]


@pytest.mark.parametrize("name", GOLDENS)
def test_the_papers_units_are_modules_that_run_in_the_recorded_order(name: str) -> None:
    golden = Golden(name)
    network, order = of_golden(golden).network, []
    modules = dict(network.named_modules())
    for module in golden.about["hooked_modules_in_call_order"]:
        modules[module].register_forward_hook(lambda *_, module=module: order.append(module))
    network.generate_mixed(*inputs(golden, 1.0))
    assert order == golden.about["hooked_modules_in_call_order"]
    units = [module for module in modules if "conv" in module]
    assert units == golden.about["paper_units"]


@pytest.mark.parametrize("name", GOLDENS)
def test_every_layer_puts_out_what_was_recorded(name: str) -> None:
    golden = Golden(name)
    case, samples = golden.about["layer_case"], golden.about["layer_samples"]
    truncation = golden.about["cases"][case]["truncation"]
    recorded = golden.under(f"out/{case}/layers")
    network, found = of_golden(golden, truncation=truncation).network, {}
    for layer in recorded:
        network.get_submodule(layer).register_forward_hook(
            lambda _m, _i, output, layer=layer: found.update({layer: output[:samples].clone()})
        )
    network.generate_mixed(*inputs(golden, truncation))
    for layer, values in recorded.items():
        assert_near(found[layer], values, family="biggan-deep", what=layer)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_images_of_every_truncation_are_those_recorded(name: str, case: str) -> None:
    golden = Golden(name)
    truncation = golden.about["cases"][case]["truncation"]
    network = of_golden(golden, truncation=truncation).network
    z, vectors = inputs(golden, truncation)
    image = golden.array(f"out/{case}/image")
    assert_near(network.generate_mixed(z, vectors), image, family="biggan-deep", what=case)


@pytest.mark.parametrize("name", GOLDENS)
def test_a_class_is_the_row_of_it_alone(name: str) -> None:
    golden = Golden(name)
    network = of_golden(golden).network
    z, vectors = inputs(golden, 1.0)
    classes = vectors.argmax(1)
    alone = functional.one_hot(classes, vectors.shape[1]).float()
    assert torch.equal(network(z, classes), network.generate_mixed(z, alone))


@pytest.mark.parametrize("name", GOLDENS)
def test_statistics_are_looked_up_as_recorded(name: str) -> None:
    about = Golden(name).about
    for truncation, lookup in about["batchnorm_statistics_lookup"].items():
        rows = statistics_rows(float(truncation), about["init_kwargs"]["n_stats"])
        assert rows == (lookup["index"], lookup["fraction"]), truncation


CHECKPOINTS = {
    path: about["golden"]
    for path in FOLDER.glob("checkpoint_*.bin")
    if (about := json.loads(Path(f"{path}.json").read_text()))["golden"] in GOLDENS
}


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_a_published_file_of_weights_loads_as_data(path: Path) -> None:
    golden = Golden(CHECKPOINTS[path])
    case = golden.about["layer_case"]
    truncation = golden.about["cases"][case]["truncation"]
    arguments = json.loads(path.with_suffix(".config.json").read_text())
    network = build(arguments=arguments, truncation=truncation).network.requires_grad_(False)
    load_weights(network, path, Reading(weights=FileWeights(file=str(path))))
    image = golden.array(f"out/{case}/image")
    assert_near(network.generate_mixed(*inputs(golden, truncation)), image, family="biggan-deep")


@pytest.mark.parametrize(
    ("architecture", "side", "parameters"),
    [("deep-128", 128, 50.4), ("deep-256", 256, 55.9), ("deep-512", 512, 56.2)],
)
def test_published_networks_have_their_published_size(
    architecture: str, side: int, parameters: float
) -> None:
    with torch.device("meta"):
        built = build(architecture)
        image = built.generate(*built.probe())
    assert image.shape == (1, 3, side, side)
    assert built.classes == 1000
    found = sum(parameter.numel() for parameter in built.network.parameters()) / 1e6
    assert found == pytest.approx(parameters, abs=0.05)
    doublings = [up for up, _, _ in ARCHITECTURES[architecture]["layers"][:8]]
    assert 4 * 2 ** sum(doublings) == 64  # where the paper has its attention


def test_units_are_relus_that_run_once_each_and_change_nothing_in_place() -> None:
    built = small()
    names = [name for name, _ in built.network.named_modules()]
    layers = select_layers(names, built.preset)
    blocks = [f"generator.layers.{block}.relu_{step}" for block in (0, 2) for step in range(4)]
    assert layers == [*blocks, "generator.relu"]
    seen: dict[str, list[torch.Tensor]] = {layer: [] for layer in layers}
    kept: dict[str, list[torch.Tensor]] = {layer: [] for layer in layers}

    def receive(layer: str, maps: torch.Tensor) -> None:
        seen[layer].append(maps)
        kept[layer].append(maps.clone())

    with built.capture(layers, receive=receive):
        built.generate(torch.randn(2, built.latent_size), torch.tensor([0, 4]))
    for layer in layers:
        (maps,), (copy,) = seen[layer], kept[layer]
        assert torch.equal(maps, copy)
        assert maps.min() == 0 < maps.max()


def test_the_stored_vectors_and_not_the_singular_value_divide_a_weight() -> None:
    layer = small().network.generator.conv_to_rgb
    layer.weight_v.mul_(-2)
    sigma = torch.einsum("o,oi,i->", layer.weight_u, layer.weight_orig.flatten(1), layer.weight_v)
    torch.testing.assert_close(layer.weight, layer.weight_orig / sigma)
    assert sigma < 0


def test_attention_is_the_sum_over_positions_that_its_definition_says() -> None:
    attention = small().network.generator.layers[1].double()
    attention.gamma.fill_(0.7)
    x = torch.randn(1, 32, 4, 6, dtype=torch.float64)
    theta, phi, g = (
        torch.einsum("oi,ihw->ohw", layer.weight[:, :, 0, 0], x[0])
        for layer in (
            attention.snconv1x1_theta,
            attention.snconv1x1_phi,
            attention.snconv1x1_g,
        )
    )
    expected = torch.empty(16, 4, 6, dtype=torch.float64)
    cells = [(slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2)) for i in range(2) for j in range(3)]
    for row in range(4):
        for column in range(6):
            scores = [theta[:, row, column] @ phi[:, *cell].amax((1, 2)) for cell in cells]
            shares = torch.stack(scores).softmax(0)
            values = [g[:, *cell].amax((1, 2)) for cell in cells]
            expected[:, row, column] = sum(s * v for s, v in zip(shares, values, strict=True))
    out = attention.snconv1x1_o_conv.weight[:, :, 0, 0]
    expected = x[0] + 0.7 * torch.einsum("oi,ihw->ohw", out, expected)
    torch.testing.assert_close(attention(x)[0], expected)


def test_images_follow_the_latent_smoothly_and_each_its_own() -> None:
    built = small()
    network: BigGANDeep = built.network.double()
    z = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    classes = torch.tensor([0, 4, 2])
    images = network(z, classes)
    torch.testing.assert_close(images[1:2], network(z[1:2], classes[1:2]))
    gradient = torch.autograd.grad(images[1].sum(), z)[0]
    assert gradient[1].abs().min() > 0
    assert not gradient[[0, 2]].any()
    step = 1e-6 * functional.one_hot(torch.tensor([3]), 6).expand(3, 6)
    with torch.no_grad():
        slope = (network(z + step, classes) - network(z - step, classes))[1].sum() / 2e-6
    assert slope.item() == pytest.approx(gradient[1, 3].item(), rel=1e-4)


def test_latents_are_a_cut_normal_times_the_truncation_and_of_their_seed_alone() -> None:
    built = build(arguments={**SMALL, "z_dim": 500}, truncation=0.5)
    latents = built.sample_latents(range(40))
    assert latents.shape == (40, 500)
    assert latents.dtype == torch.float32
    assert 0.99 < latents.abs().max() <= 1
    assert latents.std() == pytest.approx(0.5 * 0.8796, rel=0.02)  # of N(0, 1) cut to -2..2
    assert torch.equal(built.sample_latents([7, 3]), latents[[7, 3]])
    twice = build(arguments={**SMALL, "z_dim": 500}, truncation=1.0).sample_latents([3])
    assert torch.equal(twice, 2 * latents[[3]])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            {"architecture": "deep-255"},
            r"unknown architecture 'deep-255' \(did you mean 'deep-256'",
        ),
        ({}, "either an architecture or arguments"),
        (
            {"architecture": "deep-128", "arguments": SMALL},
            "either an architecture or arguments",
        ),
        ({"arguments": {**SMALL, "zdim": 3}}, r"unknown argument 'zdim' \(did you mean 'z_dim'"),
        (
            {"arguments": {k: v for k, v in SMALL.items() if k != "eps"}},
            "argument 'eps' is missing",
        ),
        ({"arguments": {**SMALL, "n_stats": 1}}, "n_stats is 1; give an integer from 2 on"),
        ({"arguments": {**SMALL, "eps": "1e-4"}}, "eps is '1e-4'; give a number"),
        ({"arguments": {**SMALL, "layers": 3}}, "layers is 3; give a list"),
        ({"arguments": {**SMALL, "layers": [[16, 1]]}}, r"layers\[0\] is \[16, 1\]; give"),
        (
            {"arguments": {**SMALL, "layers": [[True, 8, 1]]}},
            r"layers\[0\] maps 8 .* from 16 widths",
        ),
        ({"arguments": {**SMALL, "layers": [[True, 16, 2]]}}, "end with 2 channel widths"),
        (
            {"arguments": {**SMALL, "channel_width": 3, "layers": [[True, 16, 1], [False, 1, 1]]}},
            r"layers\[1\] has 3 channels and needs 8; raise channel_width",
        ),
        (
            {
                "arguments": {
                    **SMALL,
                    "channel_width": 3,
                    "layers": [[True, 16, 1], [False, 1, 1]],
                    "attention_layer_position": 0,
                }
            },
            r"layers\[1\] has 3 channels and needs 4; raise channel_width",
        ),
        ({"architecture": "deep-128", "truncation": 0.0}, "truncation is 0.0; give a number"),
        ({"architecture": "deep-128", "truncation": 1.5}, "truncation is 1.5; give a number"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(RosettaError, match=problem) as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        (None, "give a class from 0 to 4"),
        ([0, 5], "5 is out of range; give a class from 0 to 4"),
        ([-1, 0], "-1 is out of range; give a class from 0 to 4"),
    ],
)
def test_a_class_must_be_one_of_the_generators(classes: list[int] | None, problem: str) -> None:
    named = None if classes is None else torch.tensor(classes)
    with pytest.raises(RosettaError, match=problem) as caught:
        small().generate(torch.zeros(2, 6), named)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", range(2, 130))
def test_at_full_truncation_the_last_statistics_hold(rows: int) -> None:
    """However the division rounds; where it rounds down, all but a trace is the row before."""
    index, fraction = statistics_rows(1.0, rows)
    assert (index, fraction) == (rows - 1, 0) or (index == rows - 2 and 1 - fraction < 1e-12)
