"""Arguments and construction of generators, shared by StyleGAN3 and StyleGAN-XL.

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

# minima of further integer arguments
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
# defaults; num_fp16_res, magnitude_ema_beta and w_avg_beta concern training and have no effect
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
    """Return all arguments of a constructor, including those in `mapping_kwargs`.

    Args:
        arguments: given arguments.
        family: name of the family, for errors.
        further: defaults of arguments that StyleGAN3 lacks.
        further_of_mapping: defaults of arguments that its mapping network lacks.

    Raises:
        RosettaError: an argument is missing, unknown, or not a number where one is needed.
    """
    complete = fill_defaults(
        arguments,
        sizes=SIZES | COUNTS,
        numbers=NUMBERS,
        optional=("conv_clamp",),
        defaults={**SYNTHESIS, "mapping_kwargs": {}, **(further or {})},
        family=family,
    )
    complete["mapping_kwargs"] = fill_defaults(
        complete["mapping_kwargs"],
        sizes={"num_layers": 1},
        numbers=("lr_multiplier",),
        defaults={**MAPPING, **(further_of_mapping or {})},
        family=f"{family}: mapping_kwargs",
    )
    return complete


def make_generator(
    arguments: Mapping[str, Any],
    plans: Sequence[LayerPlan],
    *,
    truncation: float,
    mapping_type: Callable[..., MappingNetwork] = MappingNetwork,
    mapping_first: bool = False,
) -> Generator:
    """Build a generator with random weights; the preset is all layers except the last, the image.

    Args:
        arguments: all constructor arguments, from `complete_arguments`.
        plans: layers of the synthesis network.
        truncation: ψ, the share of the distance of w from its mean that is retained.
        mapping_type: class of the mapping network, or a function that builds it.
        mapping_first: whether the mapping network precedes the synthesis network in files.
    """
    sizes = {name: arguments[name] for name in ("z_dim", "c_dim", "w_dim")}
    scale = arguments["output_scale"]
    synthesis = SynthesisNetwork(plans, w_dim=sizes["w_dim"], output_scale=scale)
    mapping = mapping_type(
        **sizes,
        num_ws=synthesis.num_ws,
        num_layers=arguments["mapping_kwargs"]["num_layers"],
        lr_multiplier=arguments["mapping_kwargs"]["lr_multiplier"],
    )
    submodules = {"synthesis": synthesis, "mapping": mapping}
    order = sorted(submodules, reverse=not mapping_first)
    network = StyleBasedNetwork({name: submodules[name] for name in order}, truncation=truncation)
    margins = {f"synthesis.{plan.name}": plan.output.margin for plan in plans if not plan.is_torgb}
    return Generator(
        network=network,
        preset=tuple(margins),
        margins=margins,
        latent_size=mapping.z_dim,
        learning_rate=0.05,
        classes=mapping.c_dim,
        latent_spaces=w_spaces(network, slots=mapping.num_ws),
    )
