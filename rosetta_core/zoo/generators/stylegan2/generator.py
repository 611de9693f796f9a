"""StyleGAN2 (Karras et al., 2020) in NVIDIA's layout, trained with or without ADA."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.construction import fill_defaults, resolve_arguments, to_builtin
from rosetta_core.zoo.generators.latents import w_spaces
from rosetta_core.zoo.generators.style_based import (
    SIZES,
    MappingNetwork,
    StyleBasedNetwork,
    constructor_arguments,
)
from rosetta_core.zoo.generators.stylegan2.modulated import w_slots
from rosetta_core.zoo.generators.stylegan2.network import Design, SynthesisNetwork
from rosetta_core.zoo.network import Generator

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickles.networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build"]

FAMILY = "stylegan2"
SQUARE = (4, 4)  # sides of the constant input
# minima of further integer arguments
MAPPING_SIZES = {"num_layers": 1, "embed_features": 1, "layer_features": 1}
SYNTHESIS_SIZES = {"channel_base": 4, "channel_max": 1}
MAPPING: dict[str, Any] = {
    "num_layers": 8,
    "embed_features": None,
    "layer_features": None,
    "activation": "lrelu",
    "lr_multiplier": 0.01,
    "w_avg_beta": None,
}
SYNTHESIS: dict[str, Any] = {
    "channel_base": 32768,
    "channel_max": 512,
    "resample_filter": (1, 3, 3, 1),
    "use_noise": True,
    "conv_clamp": None,
    "architecture": "skip",
    "activation": "lrelu",
    "num_fp16_res": 0,
    "fp16_channels_last": False,
    "fused_modconv_default": True,
}
FLAT_CLAMP = 256  # default clamp of the class that takes synthesis arguments at the top level


def _published(resolution: int, *, base: int, clamp: float | None) -> dict[str, Any]:
    sizes = {"z_dim": 512, "c_dim": 0, "w_dim": 512}
    synthesis = {"channel_base": base, "channel_max": 512, "conv_clamp": clamp}
    return {
        **sizes,
        "img_resolution": resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": 8},
        "synthesis_kwargs": synthesis,
    }


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "config-f-256": _published(256, base=32768, clamp=None),
    "config-f-512": _published(512, base=32768, clamp=None),
    "config-f-1024": _published(1024, base=32768, clamp=None),
    "ada-256": _published(256, base=16384, clamp=256),
    "ada-512": _published(512, base=32768, clamp=256),
    "ada-1024": _published(1024, base=32768, clamp=256),
}


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; the preset is its convolutions, with activations.

    Args:
        architecture: name of a published network, in `ARCHITECTURES`.
        arguments: in its place, keyword arguments of the official constructor. Those of the
            synthesis network are in `synthesis_kwargs` (stylegan2-ada-pytorch) or at the top level
            (stylegan3). Arguments for half precision and training have no effect. `init_res`, as in
            forks for images that are not square, is the height and the width of the constant input
            in place of 4 and 4; `img_resolution` is the side of a square image.
        truncation: ψ, the share of the distance of w from its mean that is retained.

    Raises:
        RosettaError: arguments are missing, unknown, invalid, or of a variant that is not
            supported.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    sizes, mapping_arguments, synthesis_arguments = _complete_arguments(arguments)
    w_dim, resolution = sizes["w_dim"], sizes["img_resolution"]
    slots = w_slots(resolution, family=FAMILY)
    mapping = MappingNetwork(
        z_dim=sizes["z_dim"],
        c_dim=sizes["c_dim"],
        w_dim=w_dim,
        num_ws=slots,
        num_layers=mapping_arguments["num_layers"],
        embed_features=mapping_arguments["embed_features"],
        layer_features=mapping_arguments["layer_features"],
        lr_multiplier=mapping_arguments["lr_multiplier"],
    )
    design = Design(
        w_dim=w_dim,
        img_channels=sizes["img_channels"],
        channel_base=synthesis_arguments["channel_base"],
        channel_max=synthesis_arguments["channel_max"],
        resample_filter=synthesis_arguments["resample_filter"],
        use_noise=synthesis_arguments["use_noise"],
        conv_clamp=synthesis_arguments["conv_clamp"],
        first_sides=_first_sides(sizes["init_res"]),
    )
    synthesis = SynthesisNetwork(design, resolution=resolution, num_ws=slots)
    submodules = {"synthesis": synthesis, "mapping": mapping}
    network = StyleBasedNetwork(submodules, truncation=truncation)
    return Generator(
        network=network,
        latent_size=sizes["z_dim"],
        classes=sizes["c_dim"],
        preset=("synthesis.b*.conv*",),
        learning_rate=0.05,
        latent_spaces=w_spaces(network, slots=slots),
    )


def _complete_arguments(
    arguments: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return sizes, arguments of the mapping network, and arguments of the synthesis network."""
    nested = "synthesis_kwargs" in arguments
    outer: dict[str, Any] = (
        {"synthesis_kwargs": {}} if nested else {**SYNTHESIS, "conv_clamp": FLAT_CLAMP}
    )
    defaults = {"mapping_kwargs": {}, "init_res": SQUARE, **outer}
    complete = fill_defaults(arguments, sizes=SIZES, defaults=defaults, family=FAMILY)
    mapping = fill_defaults(
        complete["mapping_kwargs"],
        sizes=MAPPING_SIZES,
        numbers=("lr_multiplier",),
        optional=("embed_features", "layer_features"),
        defaults=MAPPING,
        family=f"{FAMILY}: mapping_kwargs",
    )
    synthesis = fill_defaults(
        complete["synthesis_kwargs"] if nested else {name: complete[name] for name in SYNTHESIS},
        sizes=SYNTHESIS_SIZES,
        numbers=("conv_clamp",),
        optional=("conv_clamp",),
        defaults=SYNTHESIS,
        family=f"{FAMILY}: synthesis_kwargs" if nested else FAMILY,
    )
    if synthesis["channel_base"] < complete["img_resolution"]:
        raise RosettaError(
            f"{FAMILY}: channel_base is {synthesis['channel_base']}; give at least the resolution, "
            f"{complete['img_resolution']}"
        )
    for name, only in (("activation", "lrelu"), ("architecture", "skip")):
        for part in (mapping, synthesis):
            if part.get(name, only) != only:
                raise RosettaError(
                    f"{FAMILY}: {name} is {part[name]!r}, which is not supported; use {only!r}"
                )
    return complete, mapping, synthesis


def _first_sides(sides: Any) -> tuple[int, int]:
    """Return the height and the width of the constant input."""
    values = list(sides) if isinstance(sides, list | tuple) else []
    if len(values) != 2 or not all(type(side) is int and 1 <= side <= 64 for side in values):
        raise RosettaError(
            f"{FAMILY}: init_res is {sides!r}; give the height and the width of the constant input"
        )
    return values[0], values[1]


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """Return the constructor arguments of a pickled generator; None if it is not a StyleGAN2."""
    synthesis = module.modules.get("synthesis")
    if module.class_name != "Generator" or synthesis is None:
        return None
    if "block_resolutions" not in synthesis.attributes:
        return None
    arguments: dict[str, Any] = to_builtin(constructor_arguments(module))
    first = synthesis.modules.get("b4")
    const = first.parameters.get("const") if first else None
    if const is not None and tuple(const.shape[1:]) != SQUARE:
        arguments["init_res"] = list(const.shape[1:])
    return arguments
