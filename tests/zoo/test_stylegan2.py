"""StyleGAN2 draws what the published implementations drew, in both layouts of its weights."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from golden import FOLDER, Golden, assert_near, golden_names
from scipy import signal
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.stylegan2 import generator as stylegan2
from rosetta_core.zoo.generators.stylegan2 import rosinality as stylegan2_rosinality
from rosetta_core.zoo.generators.stylegan2.modulated import (
    fir_kernel,
    modulated_convolution,
    upsample,
)
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.network import Generator
from rosetta_core.zoo.probing import probe_layers
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.local import FileWeights
from rosetta_core.zoo.weights.pickles.networks import read_pickled_network

NAMES = golden_names("stylegan2")
CASES = [(name, case) for name in NAMES for case in Golden(name).about["cases"]]
NVIDIA: dict[str, Any] = {
    "z_dim": 6,
    "c_dim": 5,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 64, "channel_max": 8},
}
ROSINALITY: dict[str, Any] = {
    "size": 16,
    "style_dim": 8,
    "n_mlp": 2,
    "channels": {4: 8, 8: 8, 16: 4},
}
LAYOUTS = {"nvidia": (stylegan2, NVIDIA), "rosinality": (stylegan2_rosinality, ROSINALITY)}
SPACES = ["z", "w", "w+"]


def rosinality(golden: Golden) -> bool:
    return "rosinality" in golden.about["source"]["repository"]


def unfilled(golden: Golden, *, truncation: float = 1.0) -> Generator:
    arguments = golden.about["init_kwargs"]
    if rosinality(golden):
        arguments = {**arguments, "channels": golden.about["channels_per_resolution"]}
        return stylegan2_rosinality.build(arguments=arguments, truncation=truncation)
    return stylegan2.build(arguments=arguments, truncation=truncation)


def filled(golden: Golden, *, truncation: float = 1.0) -> Generator:
    """The generator of a golden with its weights, fitted strictly."""
    built = unfilled(golden, truncation=truncation)
    state = golden.under("state")
    if rosinality(golden):
        state["latent_avg"] = golden.array("in/truncation_latent")[0]
    built.network.load_state_dict(state)
    built.network.eval().requires_grad_(False)
    return built


def truncation_of(case: Any) -> dict[str, Any]:
    """Arguments of the mapping network; rosinality's cases say in words what they are."""
    if isinstance(case, dict):
        return case
    stated = re.search(r"truncation=([\d.]+)", case)
    return {"truncation_psi": float(stated[1]) if stated else 1.0}


def of_case(golden: Golden, built: Generator, case: str) -> tuple[Tensor | None, Tensor]:
    """The latents, if they come from z, and the images of a recorded case."""
    network, about = built.network, golden.about["cases"][case]
    if case.startswith("wplus"):
        noise = "noise_mode=none" not in about
        return None, network.synthesis(golden.array("in/wplus"), noise=noise)
    labels = [golden.array("in/c")] if built.classes else []
    w = network.mapping(golden.array("in/z"), *labels, **truncation_of(about))
    return w, network.synthesis(w[:, None].repeat(1, network.n_latent, 1) if w.ndim == 2 else w)


def small(layout: str, *, truncation: float = 1.0, **changes: Any) -> Generator:
    """A small generator with random weights, noise that shows, and a mean w."""
    family, arguments = LAYOUTS[layout]
    torch.manual_seed(0)
    built = family.build(arguments={**arguments, **changes}, truncation=truncation)
    for name, parameter in built.network.named_parameters():
        if "noise" in name:
            nn.init.constant_(parameter, 0.3)
    for name, buffer in built.network.named_buffers():
        if name.endswith("_avg"):
            buffer.copy_(torch.randn_like(buffer))
    built.network.eval().requires_grad_(False)
    return built


def inputs(built: Generator, n: int = 3) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(n, built.latent_size, generator=generator)
    return z, torch.arange(n) % built.classes if built.classes else None


def preset_of(built: Generator) -> list[str]:
    return select_layers([name for name, _ in built.network.named_modules()], built.preset)


@pytest.mark.parametrize("name", NAMES)
def test_state_has_the_published_names_order_shapes_and_kinds(name: str) -> None:
    golden = Golden(name)
    network = unfilled(golden).network
    parameters = dict(network.named_parameters())
    found = [
        (entry, list(value.shape), "parameter" if entry in parameters else "buffer")
        for entry, value in network.state_dict().items()
        if entry != "latent_avg"  # the mean w, which the layout keeps beside the state
    ]
    recorded = golden.about["state"].items()
    assert found == [(entry, facts["shape"], facts["kind"]) for entry, facts in recorded]


@pytest.mark.parametrize("name", NAMES)
def test_low_pass_filters_are_those_designed(name: str) -> None:
    golden = Golden(name)
    state = unfilled(golden).network.state_dict()
    filters = {
        entry: value
        for entry, value in golden.under("state").items()
        if entry.endswith(("resample_filter", "kernel"))
    }
    assert filters
    for entry, value in filters.items():
        assert_near(state[entry], value, family="filters", what=entry)


@pytest.mark.parametrize("name", NAMES)
def test_modules_have_the_recorded_sizes_gains_and_clamps(name: str) -> None:
    golden = Golden(name)
    if "module_attributes" not in golden.about:
        assert filled(golden).network.n_latent == golden.about["w_slots"]["n_latent"]
        return
    modules, compared = dict(filled(golden).network.named_modules()), set()
    for module, recorded in golden.about["module_attributes"].items():
        found = modules["" if module == "(generator)" else module]
        common = [attribute for attribute in recorded if hasattr(found, attribute)]
        for attribute in common:
            expected = recorded[attribute]
            if isinstance(expected, float):
                expected = pytest.approx(expected, rel=1e-12)
            assert getattr(found, attribute) == expected, f"{module}.{attribute}"
        compared |= set(common)
    sizes = {"num_ws", "block_resolutions", "resolution", "up", "conv_clamp"}
    assert compared >= sizes | {"weight_gain", "bias_gain", "use_noise", "num_conv"}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_latents_and_images_of_every_case_are_those_recorded(name: str, case: str) -> None:
    golden = Golden(name)
    latents, image = of_case(golden, filled(golden), case)
    if latents is not None:
        kind = "w" if rosinality(golden) else "ws"
        assert_near(latents, golden.array(f"out/{case}/{kind}"), family="latents", what=case)
    assert_near(image, golden.array(f"out/{case}/image"), family="stylegan2", what=case)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_puts_out_what_was_recorded_in_the_recorded_order(name: str) -> None:
    golden = Golden(name)
    case, samples = golden.about["layer_case"], golden.about["layer_samples"]
    built, order, found = filled(golden), [], {}

    def receive(module: str, output: Any) -> None:
        order.append(module)
        parts = {module: output}
        if isinstance(output, tuple):
            parts = {f"{module}/{i}": part for i, part in enumerate(output)}
        found.update(parts)

    for module in golden.about["hooked_modules_in_call_order"]:
        built.network.get_submodule(module).register_forward_hook(
            lambda _m, _i, output, module=module: receive(module, output)
        )
    of_case(golden, built, case)
    assert order == golden.about["hooked_modules_in_call_order"]
    recorded = golden.under(f"out/{case}/layers")
    for layer, values in recorded.items():  # compared at the end: nothing was changed in place
        assert_near(found[layer][:samples], values, family="stylegan2", what=layer)
    assert set(preset_of(built)) <= set(recorded)


@pytest.mark.parametrize("name", NAMES)
def test_forward_truncates_and_draws_as_recorded(name: str) -> None:
    golden = Golden(name)
    for case, about in golden.about["cases"].items():
        if case.startswith("wplus") or "truncation_cutoff" in about:
            continue
        psi = truncation_of(about)["truncation_psi"]
        built, image = filled(golden, truncation=psi), golden.array(f"out/{case}/image")
        z = golden.array("in/z")
        if not built.classes:
            assert_near(built.generate(z, None), image, family="stylegan2", what=case)
            continue
        labels = golden.array("in/c")
        pure = (labels == 1).any(1)  # of one class: the integer says as much as the row
        assert pure.any()
        drawn = built.generate(z[pure], labels[pure].argmax(1))
        assert_near(drawn, image[pure], family="stylegan2", what=case)


@pytest.mark.parametrize("name", [name for name in NAMES if rosinality(Golden(name))])
def test_a_published_checkpoint_loads_with_its_mean_w(name: str) -> None:
    path = FOLDER / f"checkpoint_{name}.pt"
    if not path.is_file():
        pytest.skip("the golden has no checkpoint")
    golden, built = Golden(name), unfilled(Golden(name), truncation=0.5)
    built.network.requires_grad_(False)
    load_weights(
        built.network,
        path,
        Reading(weights=FileWeights(file=str(path)), convert=built.convert_checkpoint),
    )
    mean = built.network.latent_avg
    assert mean.isfinite().all()
    w, image = of_case(golden, built, golden.about["layer_case"])
    recorded = golden.under(f"out/{golden.about['layer_case']}")
    assert_near(image, recorded["image"], family="stylegan2")
    torch.testing.assert_close(built.network.w(golden.array("in/z")), (w + mean) / 2)


PICKLES = {
    path.stem: json.loads(path.read_text()) for path in FOLDER.glob("pickle_structure_*.json")
}


@pytest.mark.parametrize("name", PICKLES)
def test_an_official_file_says_how_to_build_the_network_that_its_weights_fit(name: str) -> None:
    about = PICKLES[name]
    read = read_pickled_network(FOLDER / about["file"])
    arguments = stylegan2.arguments_of(read)
    assert (arguments is not None) == (about["golden"] in NAMES)
    if arguments is None:
        return
    golden = Golden(about["golden"])
    assert arguments == golden.about["init_kwargs"]
    built = stylegan2.build(arguments=arguments)
    built.network.load_state_dict(read.state_dict())
    built.network.requires_grad_(False)
    case = golden.about["layer_case"]
    _, image = of_case(golden, built, case)
    assert_near(image, golden.array(f"out/{case}/image"), family="stylegan2", what=case)


def test_a_checkpoint_without_its_mean_w_draws_but_does_not_truncate() -> None:
    source, built = small("rosinality"), small("rosinality", truncation=0.7)
    state = source.network.state_dict()
    del state["latent_avg"]
    for content in (state, {"g_ema": state, "g": {}}):
        built.network.load_state_dict(stylegan2_rosinality.convert_checkpoint(content))
        z, _ = inputs(built)
        with pytest.raises(RosettaError, match=r"the weights lack the mean w") as caught:
            built.generate(z, None)
        assert "\n" not in str(caught.value)
        built.network.truncation = 1.0
        torch.testing.assert_close(
            built.generate(z, None), source.generate(z, None), rtol=0, atol=0
        )
        built.network.truncation = 0.7


def test_a_state_that_has_the_mean_w_keeps_it() -> None:
    state = small("rosinality").network.state_dict()
    assert torch.equal(
        stylegan2_rosinality.convert_checkpoint(state)["latent_avg"], state["latent_avg"]
    )
    beside = {"g_ema": state, "latent_avg": torch.ones(1, 8)}
    assert torch.equal(stylegan2_rosinality.convert_checkpoint(beside)["latent_avg"], torch.ones(8))
    with pytest.raises(RosettaError, match="latent_avg is None, not a tensor"):
        stylegan2_rosinality.convert_checkpoint({"g_ema": state, "latent_avg": None})


@pytest.mark.parametrize("content", [{"G": {"a": torch.zeros(1)}}, {"g_ema": 3}, {}])
def test_a_checkpoint_of_another_network_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(RosettaError, match=r"no entry 'g_ema'.*give another file") as caught:
        stylegan2_rosinality.convert_checkpoint(content)
    assert "\n" not in str(caught.value)


class NonLinearities(TorchDispatchMode):
    """Keeps what every leaky ReLU within the context puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.leaky_relu.default:
            self.outputs.append(output)
        return output


@pytest.mark.parametrize("layout", LAYOUTS)
def test_units_are_what_the_non_linearities_put_out(layout: str) -> None:
    built = small(layout)
    layers, seen = preset_of(built), []
    assert len(layers) == 5  # one at 4×4, two at 8×8 and 16×16
    ws = built.latent_space("w+").from_z(*inputs(built))
    with built.capture(layers, receive=lambda _, maps: seen.append(maps)), NonLinearities() as all:
        built.network.synthesis(ws)
    assert len(all.outputs) == len(seen)
    for output, maps in zip(all.outputs, seen, strict=True):
        torch.testing.assert_close(maps, output * 2**0.5)
        assert maps.min() < 0 < maps.max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_do_not_depend_on_the_batch(layout: str) -> None:
    built = small(layout)
    z, classes = inputs(built)
    together = built.generate(z, classes)
    for i in range(len(z)):
        alone = built.generate(z[i : i + 1], None if classes is None else classes[i : i + 1])
        assert_near(alone[0], together[i], family="stylegan2")


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_drawing_from_a_space_equals_drawing_from_z_and_has_gradients(
    layout: str, space: str
) -> None:
    built = small(layout, truncation=0.6)
    z, classes = inputs(built)
    found = built.latent_space(space)
    latents = found.from_z(z, classes)
    slots = len(preset_of(built)) + 1
    assert latents.shape == {"z": z.shape, "w": (3, 8), "w+": (3, slots, 8)}[space]
    latents.requires_grad_()
    image = found.generate(latents, classes)
    assert torch.equal(image, built.generate(z, classes))
    image.square().mean().backward()
    assert latents.grad is not None
    assert latents.grad.isfinite().all()
    assert (latents.grad.flatten(2 if space == "w+" else 1).norm(dim=-1) > 0).all()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_are_those_of_finite_differences(layout: str, space: str) -> None:
    built = small(layout, truncation=0.6)
    built.network.double()
    z, classes = inputs(built, 1)
    found = built.latent_space(space)
    latents = found.from_z(z.double(), classes).requires_grad_()

    def brightness(latents: Tensor) -> Tensor:
        return found.generate(latents, classes).square().mean()

    (gradient,) = torch.autograd.grad(brightness(latents), latents)
    step = 1e-6 * torch.randn_like(latents)
    slope = (brightness(latents + step) - brightness(latents - step)) / 2
    assert (gradient * step).sum().item() == pytest.approx(slope.item(), rel=1e-5)


class Holder(nn.Module):
    def __init__(self, built: Generator) -> None:
        super().__init__()
        self.network, self.space = built.network, built.latent_space("w+")

    def forward(self, latents: Tensor) -> Tensor:
        return self.space.generate(latents, None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_spaces_draw_with_parameters_that_are_put_in_for_the_networks(layout: str) -> None:
    built = small(layout)
    z, classes = inputs(built)
    ws = built.latent_space("w+").from_z(z, classes)
    holder = Holder(built)
    changed = {
        name: value + 0.5 for name, value in holder.named_parameters() if name.endswith("bias")
    }
    plain, image = holder(ws), functional_call(holder, changed, (ws,))
    assert (image - plain).abs().max() > 0.1
    assert torch.equal(holder(ws), plain)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncation_draws_w_towards_its_mean(layout: str) -> None:
    built, none, all_of_it = (small(layout, truncation=psi) for psi in (0.25, 1.0, 0.0))
    z, classes = inputs(built)
    w, whole, mean = (g.latent_space("w").from_z(z, classes) for g in (built, none, all_of_it))
    assert torch.equal(mean, mean[:1].expand_as(mean))
    torch.testing.assert_close(w - mean, 0.25 * (whole - mean))


def test_truncation_is_cut_off_after_some_slots() -> None:
    built = small("nvidia")
    z, classes = inputs(built)
    whole, cut, all_slots = (
        built.network.mapping(z, classes, truncation_psi=0.5, truncation_cutoff=cutoff)
        for cutoff in (0, 3, None)
    )
    assert torch.equal(whole, built.network.mapping(z, classes))
    assert torch.equal(cut[:, :3], all_slots[:, :3])
    assert torch.equal(cut[:, 3:], whole[:, 3:])


def test_classes_by_integer_are_one_hot_rows_and_must_be_there() -> None:
    built = small("nvidia")
    z, classes = inputs(built)
    rows = torch.eye(5)[classes]
    assert torch.equal(built.network(z, classes), built.network(z, rows))
    assert not torch.allclose(built.network(z, classes), built.network(z, classes + 1))
    with pytest.raises(RosettaError, match="give a class from 0 to 4"):
        built.network(z)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_noise_is_constant_and_can_be_left_out(layout: str) -> None:
    built = small(layout)
    ws = built.latent_space("w+").from_z(*inputs(built))
    noisy, plain = built.network.synthesis(ws), built.network.synthesis(ws, noise=False)
    assert torch.equal(noisy, built.network.synthesis(ws))
    assert (noisy - plain).abs().max() > 1e-2


def widths(side: int, *, base: int = 32768) -> dict[int, int]:
    """Channels by resolution, 512 at most."""
    return {2**i: min(base // 2**i, 512) for i in range(2, side.bit_length())}


# millions of parameters: config F has 30.0 at 256 pixels; ADA halves its channels there
PUBLISHED = [
    (stylegan2, "config-f-256", widths(256), 30.034),
    (stylegan2, "config-f-512", widths(512), 30.277),
    (stylegan2, "config-f-1024", widths(1024), 30.370),
    (stylegan2, "ada-256", widths(256, base=16384), 24.767),
    (stylegan2, "ada-512", widths(512), 30.277),
    (stylegan2, "ada-1024", widths(1024), 30.370),
    (stylegan2_rosinality, "256", widths(256), 30.034),
    (stylegan2_rosinality, "512", widths(512), 30.277),
    (stylegan2_rosinality, "1024", widths(1024), 30.370),
]


@pytest.mark.parametrize(("family", "name", "channels", "millions"), PUBLISHED)
def test_published_networks_have_their_published_layers(
    family: Any, name: str, channels: dict[int, int], millions: float
) -> None:
    with torch.device("meta"):
        built = family.build(name, truncation=0.7)
        layers = probe_layers(built, preset_of(built))
        side = max(channels)
        assert built.generate(*built.probe(), None).shape == (1, 3, side, side)
    expected = [(n, (s, s)) for s, n in channels.items() for _ in range(1 if s == 4 else 2)]
    assert [(layer.channels, layer.grid) for layer in layers] == expected
    parameters = sum(parameter.numel() for parameter in built.network.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=5e-4)


def test_every_published_network_is_checked() -> None:
    for family, unpublished in ((stylegan2, set()), (stylegan2_rosinality, {"32", "64", "128"})):
        published = [name for f, name, *_ in PUBLISHED if f is family]
        assert [name for name in family.ARCHITECTURES if name not in unpublished] == published


def modulated_by_definition(x: Tensor, weight: Tensor, s: Tensor, *, demodulate: bool) -> Tensor:
    """Equations 1 to 3, a set of weights for every sample, in float64."""
    images = []
    for sample, style in zip(x.double(), s.double(), strict=True):
        w = style[None, :, None, None] * weight.double()
        if demodulate:
            w = w / (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        images.append(functional.conv2d(sample[None], w, padding=weight.shape[2] // 2)[0])
    return torch.stack(images)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("footprint", [1, 3])
def test_modulated_convolution_is_equations_1_to_3(footprint: int, demodulate: bool) -> None:
    torch.manual_seed(2)
    x, s = torch.randn(3, 4, 6, 5), torch.randn(3, 4)
    weight = torch.randn(7, 4, footprint, footprint)
    found = modulated_convolution(x, weight, s, demodulate=demodulate)
    expected = modulated_by_definition(x, weight, s, demodulate=demodulate)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def doubled(maps: np.ndarray, taps: list[float]) -> np.ndarray:
    """Zeros in between and a filter of gain 2, along rows and columns, pixels in their places."""
    line = 2 * np.array(taps) / np.sum(taps)
    first = len(taps) // 2 - 1
    for axis in (-2, -1):
        size = 2 * maps.shape[axis]
        maps = signal.upfirdn(line, maps, up=2, axis=axis).take(range(first, first + size), axis)
    return maps


@pytest.mark.parametrize(
    "taps", [[1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 10, 10, 4, 1], [1, 2, 3, 5]]
)
def test_upsampling_is_zeros_in_between_and_a_filter(taps: list[float]) -> None:
    maps = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    kernel = fir_kernel(taps, gain=4).double()
    expected = torch.from_numpy(doubled(maps.numpy(), taps))
    torch.testing.assert_close(upsample(maps, kernel), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "taps", [[1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 10, 10, 4, 1], [1, 2, 3, 5]]
)
def test_a_convolution_that_doubles_is_a_doubling_and_a_convolution(taps: list[float]) -> None:
    """Inside; at the border the order of padding differs, which the goldens check."""
    torch.manual_seed(4)
    x, s, weight = torch.randn(2, 3, 8, 9), torch.randn(2, 3), torch.randn(4, 3, 3, 3)
    found = modulated_convolution(x, weight, s, kernel=fir_kernel(taps, gain=4))
    wide = upsample(x.double(), fir_kernel(taps, gain=4).double())
    flipped = weight.flip(2, 3)  # a transposed convolution mirrors its weights
    expected = modulated_by_definition(wide, flipped, s, demodulate=True)
    inside = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(found.double()[inside], expected[inside], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("taps", [[1, 1], [1, 3, 3, 1], [1, 4, 10, 10, 4, 1]])
def test_upsampling_leaves_everything_in_its_place(taps: list[float]) -> None:
    maps = torch.zeros(1, 1, 9, 9)
    maps[0, 0, 3, 5] = 1
    found = upsample(maps, fir_kernel(taps, gain=4))[0, 0]
    assert found.sum().item() == pytest.approx(4, rel=1e-6)
    places = torch.arange(18) + 0.5
    assert (found.sum(1) @ places / 4).item() == pytest.approx(2 * 3.5, rel=1e-6)
    assert (found.sum(0) @ places / 4).item() == pytest.approx(2 * 5.5, rel=1e-6)


def test_arguments_of_the_older_and_the_newer_class_mean_the_same() -> None:
    newer = {key: value for key, value in NVIDIA.items() if key != "synthesis_kwargs"}
    newer |= {**NVIDIA["synthesis_kwargs"], "conv_clamp": None, "num_fp16_res": 4}
    torch.manual_seed(0)
    first = stylegan2.build(arguments=NVIDIA).network.state_dict()
    torch.manual_seed(0)
    second = stylegan2.build(arguments=newer).network.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_only_the_newer_class_clamps_unless_told() -> None:
    newer = {key: value for key, value in NVIDIA.items() if key != "synthesis_kwargs"}
    newer |= NVIDIA["synthesis_kwargs"]
    for arguments, clamp in ((NVIDIA, None), (newer, 256), ({**newer, "conv_clamp": None}, None)):
        synthesis = stylegan2.build(arguments=arguments).network.synthesis
        assert synthesis.b16.conv0.conv_clamp == synthesis.b16.torgb.conv_clamp == clamp


def test_outputs_of_layers_are_clamped_after_the_non_linearity() -> None:
    synthesis = {**NVIDIA["synthesis_kwargs"], "conv_clamp": 0.5}
    built = small("nvidia", synthesis_kwargs=synthesis)
    seen: dict[str, Tensor] = {}
    with built.capture(preset_of(built), receive=lambda name, maps: seen.update({name: maps})):
        built.generate(*inputs(built))
    assert {maps.max().item() for maps in seen.values()} == {0.5}


def without(arguments: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key != name}


@pytest.mark.parametrize(
    ("family", "arguments", "problem"),
    [
        (stylegan2, without(NVIDIA, "z_dim"), "argument 'z_dim' is missing"),
        (stylegan2, {**NVIDIA, "w_dimm": 3}, "unknown argument 'w_dimm'.*'w_dim'"),
        (stylegan2, {**NVIDIA, "channel_base": 3}, "unknown argument 'channel_base'"),
        (stylegan2, {**NVIDIA, "mapping_kwargs": {"layers": 3}}, "mapping_kwargs.*'num_layers'"),
        (stylegan2, {**NVIDIA, "mapping_kwargs": 3}, "mapping_kwargs.* give a mapping"),
        (stylegan2, {**NVIDIA, "mapping_kwargs": {"embed_features": 0}}, "embed_features is 0"),
        (stylegan2, {**NVIDIA, "mapping_kwargs": {"lr_multiplier": "x"}}, "lr_multiplier is 'x'"),
        (stylegan2, {**NVIDIA, "synthesis_kwargs": {"conv_clamp": -1}}, "conv_clamp is -1"),
        (stylegan2, {**NVIDIA, "synthesis_kwargs": {"resample_filter": []}}, "list of taps"),
        (
            stylegan2,
            {**NVIDIA, "synthesis_kwargs": {"resample_filter": [1, -1]}},
            "list of taps",
        ),
        (stylegan2, {**NVIDIA, "synthesis_kwargs": {"conv_clamb": 3}}, "'conv_clamp'"),
        (stylegan2, {**NVIDIA, "synthesis_kwargs": {"architecture": "orig"}}, "use 'skip'"),
        (
            stylegan2,
            {**NVIDIA, "synthesis_kwargs": {"channel_base": 8}},
            "give at least the resolution, 16",
        ),
        (
            stylegan2,
            {**NVIDIA, "synthesis_kwargs": {"resample_filter": "x"}},
            "list of taps",
        ),
        (stylegan2, {**NVIDIA, "mapping_kwargs": {"activation": "relu"}}, "use 'lrelu'"),
        (stylegan2, {**NVIDIA, "img_resolution": 24}, "resolution 24 is invalid"),
        (stylegan2, {**NVIDIA, "w_dim": "8"}, "w_dim is '8'; give an integer from 1 on"),
        (stylegan2, {**NVIDIA, "w_dim": 0}, "w_dim is 0; give an integer from 1 on"),
        (stylegan2, {**NVIDIA, "w_dim": True}, "w_dim is True"),
        (stylegan2_rosinality, without(ROSINALITY, "size"), "argument 'size' is missing"),
        (stylegan2_rosinality, {**ROSINALITY, "style": 3}, "unknown argument 'style'.*'style_dim'"),
        (stylegan2_rosinality, {**ROSINALITY, "size": 12}, "resolution 12 is invalid"),
        (stylegan2_rosinality, {**ROSINALITY, "size": 32}, "channels has no entry 32"),
        (stylegan2_rosinality, {**ROSINALITY, "channels": [4]}, r"channels is \[4\]"),
        (stylegan2_rosinality, {**ROSINALITY, "blur_kernel": 3}, "list of taps"),
        (stylegan2_rosinality, {**ROSINALITY, "lr_mlp": "x"}, "lr_mlp is 'x'"),
    ],
)
def test_wrong_arguments_are_named(family: Any, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(RosettaError, match=problem) as caught:
        family.build(arguments=arguments)
    assert "\n" not in str(caught.value)


def test_an_architecture_or_arguments_must_be_given() -> None:
    with pytest.raises(RosettaError, match=r"unknown architecture 'config-f-102'.*'config-f-1024'"):
        stylegan2.build("config-f-102")
    with pytest.raises(RosettaError, match=r"unknown architecture '257'.*'256'"):
        stylegan2_rosinality.build("257")
    for family, arguments in LAYOUTS.values():
        for given in ({}, {"architecture": "256", "arguments": arguments}):
            with pytest.raises(RosettaError, match="needs either an architecture or arguments"):
                family.build(**given)
