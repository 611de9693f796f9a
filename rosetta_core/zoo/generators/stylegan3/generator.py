"""StyleGAN3 (Karras et al., 2021): generators without aliasing, configurations t and r.

build            the generator with random weights
ARCHITECTURES    by name the published networks: what their constructors were given
arguments_of     what the constructor of a network in a file was given

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Configuration t turns
and shifts with its latents' features, configuration r, of 1×1 convolutions and radial filters,
rotates with them too.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rosetta_core.zoo.construction import resolve_arguments, to_builtin
from rosetta_core.zoo.generators.style_based import constructor_arguments
from rosetta_core.zoo.generators.stylegan3.layer_plan import plan_network
from rosetta_core.zoo.generators.stylegan3.shared import complete_arguments, make_generator
from rosetta_core.zoo.network import Generator

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickled_networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build"]

FAMILY = "stylegan3"


def _published(resolution: int, *, channel_base: int, radial: bool) -> dict[str, Any]:
    widening = 2 if radial else 1  # 1×1 convolutions have fewer weights
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
    """Build a generator with random weights; its units are what the layers but the last give.

    Args:
        architecture: name of a published network.
        arguments: or what its constructor takes: z_dim, c_dim, w_dim, img_resolution,
            img_channels, and what else differs from the defaults.
        truncation: ψ, how much of the distance to the mean of w is kept.

    Raises:
        RosettaError: for an unknown architecture, or arguments that are unknown, missing or
            impossible.
    """
    asked = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    whole = complete_arguments(asked, family=FAMILY)
    return make_generator(whole, plan_network(whole, where=FAMILY), truncation=truncation)


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """Return the arguments that make `build` build a network that was found in a file.

    None if it is no StyleGAN3.
    """
    synthesis = module.modules.get("synthesis")
    if module.class_name != "Generator" or synthesis is None or "input" not in synthesis.modules:
        return None
    if "conv_kernel" in synthesis.attributes:  # StyleGAN-XL notes it there, StyleGAN3 does not
        return None
    return to_builtin(constructor_arguments(module))
