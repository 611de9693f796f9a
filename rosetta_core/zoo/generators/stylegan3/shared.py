"""What StyleGAN3 and StyleGAN-XL share around their layers.

SYNTHESIS       arguments of the synthesis network, and what they are if left out
complete_arguments         all arguments of a constructor, with defaults for those left out
make_generator    planned layers with a mapping network, as a model of the zoo

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rosetta_core.zoo.construction import fill_defaults
from rosetta_core.zoo.generators.latents import w_spaces
from rosetta_core.zoo.generators.style_based import SIZES, MappingNetwork, StyleBasedNetwork
from rosetta_core.zoo.generators.stylegan3.layer_plan import LayerPlan
from rosetta_core.zoo.generators.stylegan3.layers import SynthesisNetwork
from rosetta_core.zoo.network import Generator

__all__ = ["SYNTHESIS", "complete_arguments", "make_generator"]

# the least of each further argument that is a whole number
COUNTS = {
    "num_layers": 1,
    "num_critical": 0,
    "margin_size": 0,
    "conv_kernel": 1,
    "filter_size": 1,
    "lrelu_upsampling": 1,
}
NUMBERS = (
    "channel_base",
    "channel_max",
    "first_cutoff",
    "first_stopband",
    "last_stopband_rel",
    "output_scale",
    "conv_clamp",
)
# num_fp16_res, magnitude_ema_beta and w_avg_beta say how training goes; they change nothing here
SYNTHESIS: dict[str, Any] = {
    "channel_base": 32768,
    "channel_max": 512,
    "num_layers": 14,
    "num_critical": 2,
    "first_cutoff": 2,
    "first_stopband": 2**2.1,
    "last_stopband_rel": 2**0.3,
    "margin_size": 10,
    "output_scale": 0.25,
    "num_fp16_res": 4,
    "conv_kernel": 3,
    "filter_size": 6,
    "lrelu_upsampling": 2,
    "use_radial_filters": False,
    "conv_clamp": 256,
    "magnitude_ema_beta": 0.999,
}
MAPPING: dict[str, Any] = {"num_layers": 2, "lr_multiplier": 0.01, "w_avg_beta": 0.998}


def complete_arguments(
    arguments: Mapping[str, Any],
    *,
    family: str,
    further: Mapping[str, Any] | None = None,
    further_of_mapping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all arguments of a constructor, those in `mapping_kwargs` included.

    Args:
        arguments: that it is given.
        family: for messages.
        further: the defaults of arguments that StyleGAN3 does not have.
        further_of_mapping: the same of its mapping network.

    Raises:
        RosettaError: for an argument that is missing, unknown or no number where one is needed.
    """
    whole = fill_defaults(
        arguments,
        sizes=SIZES | COUNTS,
        numbers=NUMBERS,
        optional=("conv_clamp",),
        defaults={**SYNTHESIS, "mapping_kwargs": {}, **(further or {})},
        family=family,
    )
    whole["mapping_kwargs"] = fill_defaults(
        whole["mapping_kwargs"],
        sizes={"num_layers": 1},
        numbers=("lr_multiplier",),
        defaults={**MAPPING, **(further_of_mapping or {})},
        family=f"{family}: mapping_kwargs",
    )
    return whole


def make_generator(
    arguments: Mapping[str, Any],
    plans: Sequence[LayerPlan],
    *,
    truncation: float,
    mapping_of: Callable[..., MappingNetwork] = MappingNetwork,
    mapping_first: bool = False,
) -> Generator:
    """Make a model of the zoo; its units are the outputs of all layers but the last, the image.

    Args:
        arguments: all of its constructor, as `complete_arguments` returns them.
        plans: its layers.
        truncation: ψ, how much of the distance to the mean of w is kept.
        mapping_of: makes the mapping network.
        mapping_first: whether it stands before the synthesis network in files.
    """
    sizes = {name: arguments[name] for name in ("z_dim", "c_dim", "w_dim")}
    scale = arguments["output_scale"]
    synthesis = SynthesisNetwork(plans, w_dim=sizes["w_dim"], output_scale=scale)
    mapping = mapping_of(
        **sizes,
        num_ws=synthesis.num_ws,
        num_layers=arguments["mapping_kwargs"]["num_layers"],
        lr_multiplier=arguments["mapping_kwargs"]["lr_multiplier"],
    )
    submodules = {"synthesis": synthesis, "mapping": mapping}
    order = sorted(submodules, reverse=not mapping_first)
    network = StyleBasedNetwork({name: submodules[name] for name in order}, truncation=truncation)
    margins = {f"synthesis.{plan.name}": plan.gives.margin for plan in plans if not plan.is_torgb}
    return Generator(
        network=network,
        preset=tuple(margins),
        margins=margins,
        latent_size=mapping.z_dim,
        learning_rate=0.05,
        classes=mapping.c_dim,
        latent_spaces=w_spaces(network, slots=mapping.num_ws),
    )
