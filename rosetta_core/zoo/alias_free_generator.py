"""What StyleGAN3 and StyleGAN-XL share around their synthesis network.

SIZES               the constructor's arguments that must be given, and the least they can be
SYNTHESIS           the others of the synthesis network, and what they are if left out
MAPPING             the same of the mapping network
COUNTS              the least that those of them can be that are whole numbers
MappingNetwork      turns z and a class into w
AliasFreeNetwork    mapping and synthesis
generator_of        a network as a model of the zoo
plain               arguments as a file holds them, with numpy's numbers made Python's

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Submodules and tensors
are named as in the published files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.alias_free_layers import SynthesisNetwork
from rosetta_core.zoo.alias_free_plan import LayerPlan
from rosetta_core.zoo.modulated import Linear, truncate, unit_second_moment
from rosetta_core.zoo.network import Generator
from rosetta_core.zoo.w_spaces import w_spaces

__all__ = [
    "COUNTS",
    "MAPPING",
    "SIZES",
    "SYNTHESIS",
    "AliasFreeNetwork",
    "MappingNetwork",
    "generator_of",
    "plain",
]

SIZES = {"z_dim": 1, "c_dim": 0, "w_dim": 1, "img_resolution": 4, "img_channels": 1}
COUNTS = {
    "num_layers": 1,
    "num_critical": 0,
    "margin_size": 0,
    "conv_kernel": 1,
    "filter_size": 1,
    "lrelu_upsampling": 1,
}

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


class MappingNetwork(nn.Module):
    """Fully connected layers from z, and an embedded class beside it, to w.

    Attributes:
        w_avg: mean of w, to which truncation draws.
    """

    w_avg: Tensor
    embed: nn.Module

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int,
        num_layers: int,
        lr_multiplier: float,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.register_buffer("w_avg", self.initial_mean())
        width = z_dim + (self.add_embedding() if c_dim else 0)
        self.layers = [f"fc{position}" for position in range(num_layers)]
        for name in self.layers:
            self.add_module(name, Linear(width, w_dim, learning_rate=lr_multiplier, activate=True))
            width = w_dim

    def initial_mean(self) -> Tensor:
        """The mean of w before training."""
        return torch.zeros(self.w_dim)

    def add_embedding(self) -> int:
        """Add the modules that embed a class, and return how long its embedding is."""
        self.embed = Linear(self.c_dim, self.w_dim)
        return self.w_dim

    def embedded(self, c: Tensor) -> Tensor:
        """Embed classes (n, c_dim)."""
        return self.embed(c)

    def mean(self, c: Tensor | None) -> Tensor:
        """The mean of w (w_dim,) or (n, w_dim), to which truncation draws; classes (n, c_dim)."""
        return self.w_avg

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Turn z (n, z_dim) and classes (n, c_dim) into w+ (n, num_ws, w_dim).

        Args:
            z: N(0, 1).
            c: rows that are one at the class and zero elsewhere, or weights of classes.
            truncation_psi: how much of the distance to the mean of w is kept.
            truncation_cutoff: how many of the first w are truncated; all unless given.

        Raises:
            RosettaError: if the network needs classes and gets none.
        """
        w = unit_second_moment(z)
        if self.c_dim:
            if c is None:
                raise RosettaError(f"the generator draws {self.c_dim} classes; say of which")
            w = torch.cat([w, unit_second_moment(self.embedded(c))], dim=1)
        for name in self.layers:
            w = self.get_submodule(name)(w)  # (n, w_dim)
        cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
        truncated = truncate(w, self.mean(c), psi=truncation_psi)
        slots = [truncated if slot < cutoff else w for slot in range(self.num_ws)]
        return torch.stack(slots, dim=1)  # (n, num_ws, w_dim)


class AliasFreeNetwork(nn.Module):
    """A mapping and a synthesis network.

    Attributes:
        mapping: turns z and classes into w+.
        synthesis: turns w+ into images.
        truncation: ψ, how much of the distance to the mean of w is kept.
    """

    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(
        self, submodules: Mapping[str, MappingNetwork | SynthesisNetwork], *, truncation: float
    ) -> None:
        """Take `mapping` and `synthesis`, in the order in which files hold them."""
        super().__init__()
        for name, module in submodules.items():
            self.add_module(name, module)
        self.truncation = truncation

    def mapped(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Turn z (n, z_dim) and classes (n,) into truncated w+ (n, num_ws, w_dim)."""
        count, labels = self.mapping.c_dim, None
        if count and classes is not None:
            labels = functional.one_hot(classes, count).to(latents)  # (n, c_dim)
        return self.mapping(latents, labels, truncation_psi=self.truncation)

    def w(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Turn z (n, z_dim) and classes (n,) into truncated w (n, w_dim)."""
        return self.mapped(latents, classes)[:, 0]

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """Draw images (n, 3, h, w) of latents z (n, z_dim) and classes (n,)."""
        return self.synthesis(self.mapped(latents, classes))


def generator_of(network: AliasFreeNetwork, plans: Sequence[LayerPlan]) -> Generator:
    """Make a model of the zoo; its units are the outputs of all layers but the last, the image."""
    layers = {f"synthesis.{plan.name}": plan.gives.margin for plan in plans if not plan.is_torgb}
    mapping = network.mapping
    return Generator(
        network=network,
        preset=tuple(layers),
        margins=layers,
        latent_size=mapping.z_dim,
        learning_rate=0.05,
        classes=mapping.c_dim,
        further_spaces=w_spaces(network, slots=mapping.num_ws),
    )


def plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's, in arguments as a file holds them."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value.item() if hasattr(value, "item") else value
