"""StyleGAN2 (Karras et al., 2020) in NVIDIA's layout, with and without ADA.

ARCHITECTURES    constructor arguments of published networks
build            a generator with random weights
arguments_of     the constructor arguments of one that was read from NVIDIA's file
"""

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
    from rosetta_core.zoo.weights.pickled_networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build"]

FAMILY = "stylegan2"
# the least of each further argument that is a whole number
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
NEWER_CLAMP = 256  # of the class whose synthesis arguments are not in a dictionary of their own


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
    """Build a generator; its units are the outputs of its convolutions' non-linearities.

    Args:
        architecture: one of ARCHITECTURES.
        arguments: instead of it, keyword arguments of the official constructor. Those of the
            synthesis network are in `synthesis_kwargs` (stylegan2-ada-pytorch) or among the others
            (stylegan3). What has to do with half precision and training changes nothing.
        truncation: ψ, by which z and classes are drawn towards the mean w.

    Raises:
        RosettaError: for arguments of no network that is built here.
    """
    chosen = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    sizes, of_mapping, of_synthesis = _settled(chosen)
    w_dim, resolution = sizes["w_dim"], sizes["img_resolution"]
    slots = w_slots(resolution, family=FAMILY)
    mapping = MappingNetwork(
        z_dim=sizes["z_dim"],
        c_dim=sizes["c_dim"],
        w_dim=w_dim,
        num_ws=slots,
        num_layers=of_mapping["num_layers"],
        embed_features=of_mapping["embed_features"],
        layer_features=of_mapping["layer_features"],
        lr_multiplier=of_mapping["lr_multiplier"],
    )
    design = Design(
        w_dim=w_dim,
        img_channels=sizes["img_channels"],
        channel_base=of_synthesis["channel_base"],
        channel_max=of_synthesis["channel_max"],
        resample_filter=of_synthesis["resample_filter"],
        use_noise=of_synthesis["use_noise"],
        conv_clamp=of_synthesis["conv_clamp"],
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


def _settled(chosen: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """All sizes, arguments of the mapping network, and arguments of the synthesis network."""
    nested = "synthesis_kwargs" in chosen
    outer: dict[str, Any] = (
        {"synthesis_kwargs": {}} if nested else {**SYNTHESIS, "conv_clamp": NEWER_CLAMP}
    )
    settled = fill_defaults(
        chosen, sizes=SIZES, defaults={"mapping_kwargs": {}, **outer}, family=FAMILY
    )
    mapping = fill_defaults(
        settled["mapping_kwargs"],
        sizes=MAPPING_SIZES,
        numbers=("lr_multiplier",),
        optional=("embed_features", "layer_features"),
        defaults=MAPPING,
        family=f"{FAMILY}: mapping_kwargs",
    )
    synthesis = fill_defaults(
        settled["synthesis_kwargs"] if nested else {name: settled[name] for name in SYNTHESIS},
        sizes=SYNTHESIS_SIZES,
        numbers=("conv_clamp",),
        optional=("conv_clamp",),
        defaults=SYNTHESIS,
        family=f"{FAMILY}: synthesis_kwargs" if nested else FAMILY,
    )
    if synthesis["channel_base"] < settled["img_resolution"]:
        raise RosettaError(
            f"{FAMILY}: channel_base is {synthesis['channel_base']}, which leaves no channels at "
            f"{settled['img_resolution']}×{settled['img_resolution']}"
        )
    for name, only in (("activation", "lrelu"), ("architecture", "skip")):
        for part in (mapping, synthesis):
            if part.get(name, only) != only:
                raise RosettaError(
                    f"{FAMILY}: {name} is {part[name]!r}; only {only!r} can be built"
                )
    return settled, mapping, synthesis


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """The arguments that NVIDIA's file says its generator was built with; None if no StyleGAN2."""
    synthesis = module.modules.get("synthesis")
    if module.class_name != "Generator" or synthesis is None:
        return None
    if "block_resolutions" not in synthesis.attributes:
        return None
    return to_builtin(constructor_arguments(module))
