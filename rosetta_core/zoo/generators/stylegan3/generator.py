"""StyleGAN3 (Karras et al., 2021): alias-free generators, configurations t and r.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Configuration t is
equivariant to translation; configuration r, with 1×1 convolutions and radial filters, also to
rotation.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rosetta_core.zoo.construction import resolve_arguments, to_builtin
from rosetta_core.zoo.generators.style_based import constructor_arguments
from rosetta_core.zoo.generators.stylegan3.layer_plan import plan_network
from rosetta_core.zoo.generators.stylegan3.shared import complete_arguments, make_generator
from rosetta_core.zoo.network import Generator

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickles.networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build"]

FAMILY = "stylegan3"


def _published(resolution: int, *, channel_base: int, radial: bool) -> dict[str, Any]:
    widening = 2 if radial else 1  # more channels, since 1×1 convolutions have fewer weights
    return {
        "z_dim": 512,
        "c_dim": 0,
        "w_dim": 512,
        "img_resolution": resolution,
        "img_channels": 3,
        "channel_base": channel_base * widening,
        "channel_max": 512 * widening,
        "conv_kernel": 1 if radial else 3,
        "use_radial_filters": radial,
    }


# 1024: FFHQ, FFHQ-U, MetFaces, MetFaces-U; 512: AFHQv2; 256: FFHQ-U
ARCHITECTURES: dict[str, dict[str, Any]] = {
    f"{configuration}-{resolution}": _published(
        resolution, channel_base=channel_base, radial=configuration == "r"
    )
    for configuration in "tr"
    for resolution, channel_base in {1024: 32768, 512: 32768, 256: 16384}.items()
}


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; the preset is all layers except the last, the image.

    Args:
        architecture: name of a published network, in `ARCHITECTURES`.
        arguments: in its place, arguments of the official constructor: z_dim, c_dim, w_dim,
            img_resolution, img_channels, and those that differ from the defaults.
        truncation: ψ, the share of the distance of w from its mean that is retained.

    Raises:
        RosettaError: the architecture is unknown, or arguments are missing, unknown or invalid.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    complete = complete_arguments(arguments, family=FAMILY)
    plans = plan_network(complete, where=FAMILY)
    return make_generator(complete, plans, truncation=truncation)


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """Return the constructor arguments of a pickled generator; None if it is not a StyleGAN3."""
    synthesis = module.modules.get("synthesis")
    if module.class_name != "Generator" or synthesis is None or "input" not in synthesis.modules:
        return None
    if "conv_kernel" in synthesis.attributes:  # StyleGAN-XL stores it there, StyleGAN3 does not
        return None
    return to_builtin(constructor_arguments(module))
