"""Vision models of Hugging Face transformers: layers, tokens and geometry of tiny networks."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import pytest
import torch
import transformers
from tiny_transformers import PLAIN, TINY, tiny_size
from torch import Tensor

from rosetta_core.api.models import wrap
from rosetta_core.errors import RosettaError
from rosetta_core.zoo.encoders.transformers import build
from rosetta_core.zoo.layers import Layer, select_layers
from rosetta_core.zoo.layouts.geometry import check_geometry
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.probing import probe_layers

PREFIX = {  # class, register and distillation tokens
    **dict.fromkeys(("aimv2_vision_model", "ijepa", "siglip_vision_model"), 0),
    "siglip2_vision_model": 0,
    "deit": 2,
    "dinov2_with_registers": 3,
    "dinov3_vit": 3,
    "pixio": 3,
    "tipsv2_vision_model": 2,
}


def tiny(kind: str, **arguments: Any) -> Encoder:
    size = arguments.get("image_size") or tiny_size(kind)
    sides = size if isinstance(size, int) else (size[0], size[1])
    half = Input(size=sides, mean=[0.5] * 3, std=[0.5] * 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build(kind, arguments={**TINY[kind], **arguments}, input=half)
    built.network.eval().requires_grad_(False)
    return built


def all_layers(built: Encoder) -> list[Layer]:
    names = [name for name, _ in built.network.named_modules() if name]
    return probe_layers(built, names, skip_invalid=True)


def mined(built: Encoder) -> list[Layer]:
    names = [name for name, _ in built.network.named_modules()]
    return probe_layers(built, select_layers(names, built.preset))


def images(built: Encoder, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, *built.input.sides, generator=generator)


def maps_of(built: Encoder, inputs: Tensor, layers: list[Layer]) -> tuple[dict[str, Tensor], Any]:
    maps: dict[str, Tensor] = {}
    names = [layer.name for layer in layers]
    with built.capture(names, receive=lambda name, value: maps.update({name: value.clone()})):
        outputs = built.network(inputs, output_hidden_states=True)
    return maps, outputs


def expected(kind: str, outputs: Mapping[str, Any], sides: tuple[int, int]) -> Iterator[Tensor]:
    """Yield the library's hidden states as maps (n, c, h, w), by its own code where it has some."""
    if "reshaped_hidden_states" in outputs:
        for state in outputs["reshaped_hidden_states"]:
            # Hiera's are (n, h, w, c), those of Swin (n, c, h, w)
            yield state.permute(0, 3, 1, 2) if kind == "hiera" else state
        return
    for state in outputs["hidden_states"]:
        if state.ndim == 4:
            yield state
            continue
        patch = TINY[kind].get("patch_size", 0)
        if kind == "swin2sr":
            patch = 1
        if patch:
            grid = (sides[0] // patch, sides[1] // patch)
        else:
            side = int(state.shape[1] ** 0.5)
            grid = (side, side)
        first = PREFIX.get(kind, 1) if patch > 1 else state.shape[1] - prod(grid)
        tokens = state[:, first : first + prod(grid)]
        yield tokens.transpose(1, 2).reshape(len(state), -1, *grid)


@pytest.mark.parametrize("kind", TINY)
def test_layers_follow_the_image_and_hold_the_librarys_hidden_states(kind: str) -> None:
    built = tiny(kind)
    layers = all_layers(built)
    maps, outputs = maps_of(built, images(built), layers)
    states = list(expected(kind, outputs, built.input.sides))
    assert len(states) > 1
    last = outputs["last_hidden_state"]
    for state in states:
        if state.shape[1] == 3:  # the image itself
            continue
        same = [name for name, value in maps.items() if torch.equal(value, state)]
        # normed once more behind the last layer
        normed = state is states[-1] and any(v.shape == state.shape for v in maps.values())
        assert same or (normed and torch.equal(outputs["hidden_states"][-1], last)), state.shape
    preset = [layer.name for layer in mined(built)]
    if kind == "levit":  # attention and batch normalisation mix all places from the first block on
        preset.append("patch_embeddings")
    verdicts = check_geometry(built, preset)
    assert {"follows"} <= set(verdicts.values()), verdicts


@pytest.mark.parametrize("kind", ["vit", "clip_vision_model", "deit", "dinov2_with_registers"])
def test_images_of_other_proportions_have_grids_of_their_own(kind: str) -> None:
    built = tiny(kind)
    wide = Input(size=(32, 64), mean=[0.5] * 3, std=[0.5] * 3)
    built = build(kind, arguments=TINY[kind], input=wide)
    built.network.eval().requires_grad_(False)
    layers = mined(built)
    assert {layer.grid for layer in layers} == {(4, 8)}
    assert set(check_geometry(built, [layer.name for layer in layers]).values()) == {"follows"}


def test_an_mae_sees_every_patch_in_order() -> None:
    mae = tiny("vit_mae")
    vit = tiny("vit")
    vit.network.load_state_dict(mae.network.state_dict())
    inputs = images(mae)
    ours, _ = maps_of(mae, inputs, mined(mae))
    theirs, _ = maps_of(vit, inputs, mined(vit))
    assert list(ours) == list(theirs)
    for name, maps in ours.items():
        assert maps.shape == (2, 64, 4, 4)
        assert torch.equal(maps, theirs[name])


def test_patches_of_siglip_2_are_those_of_its_processor() -> None:
    built = tiny("siglip2_vision_model")
    image = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(0))
    processor = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    batch = processor(image.byte(), return_tensors="pt")
    theirs = built.network.forward(**batch, output_hidden_states=True)  # without our hook
    ours = built.network((image[None] / 255 - 0.5) / 0.5, output_hidden_states=True)
    for one, other in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "layer", "channels"),
    [
        ("vit", "layers.0.mlp.activation_fn", 64),
        ("dinov2", "encoder.layer.0.mlp.activation_fn", 128),
        ("dinov2_with_registers", "encoder.layer.0.mlp.activation_fn", 128),
        ("dinov3_vit", "model.layer.0.mlp.act_fn", 64),
        ("dinov3_convnext", "model.stages.0.layers.0.activation_fn", 32),
        ("siglip_vision_model", "encoder.layers.0.mlp.activation_fn", 64),
        ("siglip2_vision_model", "encoder.layers.0.mlp.activation_fn", 64),
        ("clip_vision_model", "encoder.layers.0.mlp.activation_fn", 64),
        ("vit_mae", "layers.0.mlp.activation_fn", 64),
        ("swin", "encoder.layers.0.blocks.0.mlp.activation_fn", 64),
        ("convnext", "encoder.stages.0.layers.0.act", 32),
        ("hiera", "encoder.stages.0.layers.0.mlp.activation_fn", 64),
        ("beit", "layers.0.mlp.activation_fn", 64),
        ("resnet", "encoder.stages.0", 16),
    ],
)
def test_presets_are_the_activations_of_mlps(kind: str, layer: str, channels: int) -> None:
    first = mined(tiny(kind))[0]
    assert (first.name, first.channels) == (layer, channels)


@pytest.mark.parametrize("kind", ["vit", "swin", "deit", "yolos", "hiera", "convnext"])
def test_a_network_of_the_users_own_is_wrapped_with_its_layouts(kind: str) -> None:
    built = tiny(kind)
    model = wrap(built.network, input=built.input)
    assert model.layers == mined(built)
    assert not isinstance(model.network.to_maps("x", (torch.ones(1),)), tuple)  # type: ignore


def test_a_network_that_masks_is_not_wrapped() -> None:
    config = transformers.ViTMAEConfig(**PLAIN)
    half = Input(size=32, mean=[0.5] * 3, std=[0.5] * 3)
    with pytest.raises(RosettaError):
        wrap(transformers.ViTMAEModel(config).eval(), input=half)


def test_a_larger_model_is_its_vision_tower() -> None:
    built = build("clip", arguments=PLAIN)
    assert type(built.network).__name__ == "CLIPVisionModel"
    assert built.input.size == 32


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("dinov22", "no type of model 'dinov22' .did you mean 'dinov2'"),
        ("bert", "bert does not take images alone; choose a vision model"),
        ("gpt2", "does not take images alone"),
        ("imagegpt", "does not take images alone"),
        ("videomae", "takes videos, not images"),
        ("vivit", "takes videos, not images"),
        ("detr", "takes images and queries"),
        ("timm_wrapper", "is a network of timm; use family timm"),
    ],
)
def test_other_models_are_refused_in_one_line(kind: str, message: str) -> None:
    with pytest.raises(RosettaError, match=message) as caught:
        build(kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hiden_size": 3}, "argument 'hiden_size' is not part of its configuration .did you"),
        ({"hidden_act": "nothing"}, "cannot be built"),
        ({"hidden_size": "many"}, "refuses the arguments"),
        ({"model_type": "bert"}, "argument 'model_type' is not part"),
        ({"attn_implementation": "owner/kernel"}, "argument 'attn_implementation' is not part"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RosettaError, match=message) as caught:
        build("vit", arguments=arguments)
    assert "\n" not in str(caught.value)
