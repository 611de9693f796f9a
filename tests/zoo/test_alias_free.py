"""StyleGAN3 and StyleGAN-XL do what the reference implementations did, layer by layer."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from alias_free import attributes_of, golden_arguments
from golden import FOLDER, Golden, assert_near, golden_names, table_names
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.stylegan2.modulated import Linear
from rosetta_core.zoo.generators.stylegan3 import generator as stylegan3
from rosetta_core.zoo.generators.stylegan3 import stylegan_xl
from rosetta_core.zoo.generators.stylegan3.filters import filtered_leaky_relu, low_pass
from rosetta_core.zoo.generators.stylegan3.layers import SynthesisLayer
from rosetta_core.zoo.probing import probe_layers

BUILDS = {"stylegan3": stylegan3.build, "styleganxl": stylegan_xl.build}
GOLDENS = [name for family in BUILDS for name in golden_names(family)]


def recorded(name: str, *, truncation: float = 1.0):
    """A golden, and the generator with its configuration and weights."""
    golden = Golden(name)
    build = BUILDS[golden.about["family"]]
    generator = build(arguments=golden_arguments(golden.about), truncation=truncation)
    generator.network.load_state_dict(golden.under("state"))
    return golden, generator


def inputs(golden: Golden):
    """Its z, and its classes or None."""
    return golden.array("in/z"), golden.under("in").get("c")


@pytest.mark.parametrize("name", GOLDENS)
def test_the_state_has_the_recorded_names_order_shapes_and_kinds(name: str) -> None:
    _, generator = recorded(name)
    network = generator.network
    kinds = {name: "parameter" for name, _ in network.named_parameters()}
    found = {
        name: {
            "shape": list(value.shape),
            "dtype": str(value.dtype).removeprefix("torch."),
            "kind": kinds.get(name, "buffer"),
        }
        for name, value in network.state_dict().items()
    }
    expected = Golden(name).about["state"]
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("name", GOLDENS)
def test_filters_are_designed_as_recorded(name: str) -> None:
    golden = Golden(name)
    generator = BUILDS[golden.about["family"]](arguments=golden_arguments(golden.about))
    for entry, value in generator.network.state_dict().items():
        if entry.endswith("_filter"):
            assert_near(value, golden.array(f"state/{entry}"), family="filters", what=entry)


@pytest.mark.parametrize("name", GOLDENS)
@torch.no_grad()
def test_latents_and_images_are_the_recorded_ones(name: str) -> None:
    golden, generator = recorded(name)
    network, family = generator.network, golden.about["family"]
    z, c = inputs(golden)
    for case, truncation in golden.about["cases"].items():
        if case == "wplus":
            ws = golden.array("in/wplus")
        else:
            ws = network.mapping(z, c, **truncation)
            assert_near(ws, golden.array(f"out/{case}/ws"), family="latents", what=case)
        image = golden.array(f"out/{case}/image")
        assert_near(network.synthesis(ws), image, family=family, what=case)


@pytest.mark.parametrize("name", GOLDENS)
@torch.no_grad()
def test_layers_run_in_the_recorded_order_and_give_the_recorded_maps(name: str) -> None:
    golden, generator = recorded(name)
    about, seen = golden.about, {}
    hooked = about["hooked_modules_in_call_order"]
    z, c = inputs(golden)
    uncropped = replace(generator, margins={})
    with uncropped.capture(hooked, receive=lambda layer, maps: seen.update({layer: maps})):
        ws = generator.network.mapping(z, c, **about["cases"][about["layer_case"]])
        generator.network.synthesis(ws)
    assert list(seen) == hooked
    maps = golden.under(f"out/{about['layer_case']}/layers")
    assert set(hooked) == set(maps) | {"synthesis"}
    for layer, expected in maps.items():
        kept = seen[layer][: about["layer_samples"]]
        assert_near(kept, expected, family=about["family"], what=layer)


TRAINING = {"cls", "use_fp16", "magnitude_ema_beta", "w_dim"}


@pytest.mark.parametrize("name", GOLDENS)
def test_modules_have_the_recorded_sizes_bands_and_gains(name: str) -> None:
    golden, generator = recorded(name)
    network = generator.network
    for module_name, expected in golden.about["module_attributes"].items():
        module = network if module_name == "(generator)" else network.get_submodule(module_name)
        if isinstance(module, SynthesisLayer):
            found = attributes_of(module)
            assert set(found) == set(expected) - TRAINING
        elif isinstance(module, Linear):
            found = {"weight_gain": module.weight_gain, "bias_gain": module.bias_gain,
                     "activation": "lrelu" if module.activate else "linear"}  # fmt: skip
        elif module_name == "synthesis.input":
            signal = module.signal
            found = {"sampling_rate": signal.sampling_rate, "bandwidth": signal.cutoff,
                     "size": [signal.size] * 2, "channels": signal.channels}  # fmt: skip
        elif module_name == "synthesis":
            found = {"num_ws": module.num_ws, "layer_names": module.layer_names,
                     "output_scale": module.output_scale}  # fmt: skip
        else:
            mapping = network.mapping
            found = {name: getattr(mapping, name) for name in ("num_ws", "z_dim", "c_dim", "w_dim")}
        assert found == {
            name: pytest.approx(expected[name], rel=1e-12)
            if isinstance(expected[name], float)
            else expected[name]
            for name in found
        }


TABLES = [
    (family, name, entry)
    for family in BUILDS
    for name in table_names(f"layer_tables_{family}")
    for entry in json.loads((FOLDER / f"{name}.json").read_text())["configurations"]
]


@pytest.mark.parametrize(("family", "name", "entry"), TABLES, ids=[x for _, _, x in TABLES])
def test_layers_of_full_size_are_planned_as_tabled(family: str, name: str, entry: str) -> None:
    about = json.loads((FOLDER / f"{name}.json").read_text())["configurations"][entry]
    with torch.device("meta"):
        generator = BUILDS[family](arguments=golden_arguments(about))
    network = generator.network
    signal = network.synthesis.input.signal
    assert about["input"] == {
        "channels": signal.channels,
        "size": [signal.size] * 2,
        "sampling_rate": signal.sampling_rate,
        "bandwidth": signal.cutoff,
    }
    assert network.synthesis.num_ws == about["num_ws"]
    assert network.synthesis.layer_names == [layer["name"] for layer in about["layers"]]
    for layer in about["layers"]:
        module = network.get_submodule(f"synthesis.{layer['name']}")
        found = attributes_of(module) | {"weight_shape": list(module.weight.shape)}
        assert found == {
            name: pytest.approx(layer[name], rel=1e-12)
            if isinstance(layer[name], float)
            else layer[name]
            for name in found
        }
    # filters have nothing to do with channels: few of them take no time
    few = golden_arguments(about) | {"channel_max": 1, "w_dim": 1, "c_dim": 0}
    synthesis = BUILDS[family](arguments=few).network.synthesis
    filters = np.load(FOLDER / f"{name}.npz")
    for narrow, layer in zip(synthesis.layer_names, about["layers"], strict=True):
        for side in ("up_filter", "down_filter"):
            found = getattr(synthesis.get_submodule(narrow), side)
            if layer[side] is None:
                assert found is None
            else:
                expected = torch.from_numpy(filters[f"filter/{layer[side]}"])
                assert_near(found, expected, family="filters", what=f"{layer['name']} {side}")


PUBLISHED = [
    *(("stylegan3", name) for name in stylegan3.ARCHITECTURES),
    *(("styleganxl", name) for name in stylegan_xl.ARCHITECTURES),
]


@pytest.mark.parametrize(("family", "architecture"), PUBLISHED)
def test_maps_of_published_networks_lie_on_the_image(family: str, architecture: str) -> None:
    """On the meta device, where nothing is computed; margins are cut to the sampling rate."""
    with torch.device("meta"):
        generator = BUILDS[family](architecture)
        layers = probe_layers(generator, generator.preset)
    names = generator.network.synthesis.layer_names
    assert [layer.name for layer in layers] == [f"synthesis.{name}" for name in names[:-1]]
    resolution = int(architecture.split("-")[1])
    assert layers[-1].grid == (resolution, resolution)
    for layer in layers:
        output = generator.network.get_submodule(layer.name).plan.output
        assert layer.grid == (output.sampling_rate, output.sampling_rate)
        assert layer.channels == output.channels
        assert layer.margin == (10 if output.size > output.sampling_rate else 0)
    assert layers[-2].margin == 10


@pytest.mark.parametrize("name", GOLDENS)
def test_all_latent_spaces_draw_the_same_and_pass_gradients_on(name: str) -> None:
    _, generator = recorded(name, truncation=0.7)
    latents = generator.sample_latents([1, 2])
    classes = torch.tensor([0, generator.classes - 1]) if generator.classes else None
    drawn = generator.generate(latents, classes)
    for space_name in ("z", "w", "w+"):
        space = generator.latent_space(space_name)
        entered = space.from_z(latents, classes).detach().requires_grad_()
        images = space.generate(entered, classes)
        assert_near(images.detach(), drawn.detach(), family="stylegan2", what=space_name)
        images.square().mean().backward()
        assert entered.grad is not None
        assert (entered.grad.flatten(1).norm(dim=1) > 0).all()
        assert entered.grad.isfinite().all()
    assert entered.shape == (2, generator.network.synthesis.num_ws, generator.network.mapping.w_dim)


@pytest.mark.parametrize("name", GOLDENS)
@torch.no_grad()
def test_forward_truncates_and_an_image_does_not_depend_on_its_batch(name: str) -> None:
    golden, generator = recorded(name, truncation=0.5)
    network = generator.network
    latents = golden.array("in/z")
    count = generator.classes
    classes = torch.arange(len(latents)) % count if count else None
    labels = functional.one_hot(classes, count).float() if count else None
    images = generator.generate(latents, classes)
    truncated = network.mapping(latents, labels, truncation_psi=0.5)
    assert torch.equal(images, network.synthesis(truncated))
    one = generator.generate(latents[-1:], classes[-1:] if count else None)
    assert_near(one[0], images[-1], family=golden.about["family"])


@pytest.mark.parametrize("name", GOLDENS)
@torch.no_grad()
def test_the_users_transform_moves_the_image(name: str) -> None:
    """By an eighth of the image to the left, which is a whole number of pixels in each layer."""
    golden, generator = recorded(name)
    ws = golden.array("in/wplus")
    synthesis = generator.network.synthesis
    still = synthesis(ws)
    shift = torch.eye(3)
    shift[0, 2] = 1 / 8
    synthesis.input.transform.copy_(synthesis.input.transform @ shift)
    moved = synthesis(ws)
    side = still.shape[-1]
    inner = slice(side // 4, side * 5 // 8)  # away from the borders, where zeros come in
    there = slice(side * 3 // 8, side * 3 // 4)
    expected = still[:, :, inner, there]
    error = (moved[:, :, inner, inner] - expected).norm()
    assert error < 0.05 * (still[:, :, inner, inner] - expected).norm()


def directly(x, up_filter, down_filter, *, up, down, padding, gain, slope, clamp):
    """The definition, in float64: zeros in between, padding, filters as they are written."""
    x = x.double()
    n, c, h, w = x.shape
    wide = torch.zeros(n, c, h * up, w * up, dtype=torch.float64)
    wide[:, :, ::up, ::up] = x
    wide = functional.pad(wide, (*padding, *padding))

    def filtered(x, taps):
        taps = taps.double()
        square = taps if taps.ndim == 2 else taps[:, None] * taps
        return functional.conv2d(x.flatten(0, 1)[:, None], square.flip(0, 1)[None, None]).unflatten(
            0, (n, c)
        )[:, :, 0]

    high = filtered(wide, up_filter) * up**2
    high = (torch.where(high < 0, high * slope, high) * gain).clamp(-clamp, clamp)
    return filtered(high, down_filter)[:, :, ::down, ::down]


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(
    ("up", "down", "padding"),
    [(2, 2, (9, 8)), (4, 2, (-6, -9)), (2, 4, (30, -3)), (4, 4, (-15, 2))],
)
def test_the_filtered_leaky_relu_is_its_definition(up, down, padding, radial) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 20, 17, generator=generator)
    taps = torch.randn(6 * up, generator=generator)  # not symmetric: directions show
    shape = (6 * down, 6 * down) if radial else (6 * down,)
    down_taps = torch.randn(shape, generator=generator)
    options = {"up": up, "down": down, "padding": padding, "gain": 1.5, "slope": 0.3, "clamp": 4.0}
    found = filtered_leaky_relu(x, up_filter=taps, down_filter=down_taps, **options)
    assert_near(found, directly(x, taps, down_taps, **options), family="stylegan2")


def test_without_a_filter_the_rate_is_raised_by_zeros_alone() -> None:
    x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    one = torch.ones(1)  # a filter of one tap leaves everything as it is
    for up, down in ((1, 1), (2, 1), (4, 2)):
        options = {"up": up, "down": down, "padding": (3, -1), "gain": 1.5, "slope": 0.3}
        found = filtered_leaky_relu(x, up_filter=None, down_filter=None, clamp=4.0, **options)
        assert_near(found, directly(x, one, one, clamp=4.0, **options), family="stylegan2")


@pytest.mark.parametrize("taps", [15, 16])
def test_a_radial_filter_may_have_its_middle_between_taps_or_on_one(taps: int) -> None:
    cutoff, width, rate = 5.0, 12.0, 64.0
    radial = low_pass(taps, cutoff=cutoff, width=width, sampling_rate=rate, radial=True)
    assert radial.isfinite().all()
    assert radial.sum().item() == pytest.approx(1)
    assert torch.equal(radial, radial.T)
    nearest = radial[taps // 2, taps // 2]
    assert nearest == radial.max()
    # the middle is no outlier: the filter is smooth there
    assert nearest == pytest.approx(radial[taps // 2, taps // 2 - 1].item(), rel=0.1)


@pytest.mark.parametrize("radial", [False, True])
def test_filters_pass_the_band_and_stop_what_lies_above(radial: bool) -> None:
    cutoff, width, rate = 10.0, 12.0, 64.0
    taps = low_pass(48, cutoff=cutoff, width=width, sampling_rate=rate, radial=radial)
    line = taps.double() if taps.ndim == 1 else taps.double().sum(0)  # the response along x
    places = torch.arange(48, dtype=torch.float64) / rate

    def response(frequency: float) -> float:
        wave = torch.exp(-2j * math.pi * frequency * places)
        return float((line * wave).sum().abs())

    assert response(0) == pytest.approx(1)
    assert response(cutoff - width / 2) == pytest.approx(1, abs=0.05)
    assert response(cutoff) == pytest.approx(0.5, abs=0.1)
    assert all(response(f) < 0.02 for f in np.arange(cutoff + width / 2 + 0.5, rate / 2, 0.5))
    if radial:
        assert torch.equal(taps, taps.T)
        assert torch.equal(taps, taps.flip(0))


@pytest.mark.parametrize("build", BUILDS.values())
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"chanel_max": 3}, "unknown argument 'chanel_max'.*'channel_max'"),
        ({"mapping_kwargs": {"num_layer": 3}}, "mapping_kwargs: .*'num_layer'.*'num_layers'"),
        ({"img_resolution": 48}, "resolution 48 is invalid; give a power of two"),
        ({"num_layers": 2}, "2 layers are too few"),
        ({"channel_base": 4}, "no channels; raise channel_base"),
        ({"channel_base": "x"}, "channel_base is 'x'; give a number above 0"),
        ({"first_cutoff": 0}, "first_cutoff is 0; give a number above 0"),
        ({"first_cutoff": 8}, "first cutoff is 8, .* resolution 16; give less than 8"),
        ({"conv_clamp": "x"}, "conv_clamp is 'x'; give a number above 0"),
        ({"output_scale": None}, "output_scale is None; give a number above 0"),
        ({"mapping_kwargs": {"lr_multiplier": -1}}, "mapping_kwargs: lr_multiplier is -1"),
        ({"z_dim": "many"}, "z_dim is 'many'"),
        ({"w_dim": "left out"}, "argument 'w_dim' is missing"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(build, change, problem) -> None:
    arguments = {"z_dim": 4, "c_dim": 0, "w_dim": 4, "img_resolution": 16, "img_channels": 3}
    arguments |= change
    if "w_dim" in change:
        del arguments["w_dim"]
    with pytest.raises(RosettaError, match=problem) as caught:
        build(arguments=arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("build", "near"), [(stylegan3.build, "t-1024"),
                                             (stylegan_xl.build, "imagenet-1024")])  # fmt: skip
def test_unknown_architectures_name_near_ones(build, near) -> None:
    with pytest.raises(RosettaError, match=f"unknown architecture '{near}4'.*{near!r}") as caught:
        build(f"{near}4")
    assert "\n" not in str(caught.value)
    for wrong in ({}, {"architecture": near, "arguments": {}}):
        with pytest.raises(RosettaError, match="either an architecture or arguments"):
            build(**wrong)
