"""What StyleGAN2, StyleGAN3 and StyleGAN-XL share in NVIDIA's layout, its parts named as there.

SIZES                    the constructor's first arguments, and the least they can be
constructor_arguments    what the constructor of a network in a file was given
MappingNetwork           turns z and a class into w
StyleBasedNetwork        a mapping and a synthesis network
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rosetta_core.zoo.generators.latents import one_hot
from rosetta_core.zoo.generators.stylegan2.modulated import Linear, truncate, unit_second_moment

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickled_networks import PickledModule

__all__ = ["SIZES", "MappingNetwork", "StyleBasedNetwork", "constructor_arguments"]

SIZES = {"z_dim": 1, "c_dim": 0, "w_dim": 1, "img_resolution": 4, "img_channels": 1}


def constructor_arguments(module: "PickledModule") -> dict[str, Any]:
    """By name what the constructor of a generator was given, by position and by name."""
    return {**dict(zip(SIZES, module.positional, strict=False)), **module.arguments}


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
        embed_features: int | None = None,
        layer_features: int | None = None,
    ) -> None:
        """Add the layers; embeddings and hidden layers are as long as w unless told."""
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.num_ws, self.num_layers = num_ws, num_layers
        self.register_buffer("w_avg", self.initial_mean())
        width = z_dim + (self.add_embedding(embed_features or w_dim) if c_dim else 0)
        for position in range(num_layers):
            outputs = w_dim if position == num_layers - 1 else layer_features or w_dim
            layer = Linear(width, outputs, learning_rate=lr_multiplier, activate=True)
            self.add_module(f"fc{position}", layer)
            width = outputs

    def initial_mean(self) -> Tensor:
        """The mean of w before training."""
        return torch.zeros(self.w_dim)

    def add_embedding(self, features: int) -> int:
        """Add the modules that embed a class, and return how long its embedding is."""
        self.embed = Linear(self.c_dim, features)
        return features

    def embedded(self, rows: Tensor) -> Tensor:
        """Embed rows of classes (n, c_dim)."""
        return self.embed(rows)

    def mean(self, rows: Tensor | None) -> Tensor:
        """The mean of w (w_dim,) or (n, w_dim), to which truncation draws; rows (n, c_dim)."""
        return self.w_avg

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Turn z (n, z_dim) and classes into w+ (n, num_ws, w_dim).

        Args:
            z: N(0, 1).
            c: classes (n,), or rows (n, c_dim) that may be mixtures.
            truncation_psi: ψ of `truncate`.
            truncation_cutoff: how many of the first w are truncated; all unless given.

        Raises:
            RosettaError: if the network needs classes and gets none, or one that it does not have.
        """
        w, rows = unit_second_moment(z), None
        if self.c_dim:
            rows = one_hot(c, self.c_dim, like=w)
            w = torch.cat([w, unit_second_moment(self.embedded(rows))], dim=1)
        for position in range(self.num_layers):
            w = self.get_submodule(f"fc{position}")(w)  # (n, w_dim)
        cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
        truncated = truncate(w, self.mean(rows), psi=truncation_psi)
        slots = [truncated if slot < cutoff else w for slot in range(self.num_ws)]
        return torch.stack(slots, dim=1)  # (n, num_ws, w_dim)


class StyleBasedNetwork(nn.Module):
    """A mapping and a synthesis network.

    Attributes:
        mapping: turns z and classes into w+.
        synthesis: turns w+ into images.
        truncation: ψ, how much of the distance to the mean of w is kept.
    """

    mapping: MappingNetwork
    synthesis: nn.Module

    def __init__(self, submodules: Mapping[str, nn.Module], *, truncation: float) -> None:
        """Take `mapping` and `synthesis`, in the order in which files hold them."""
        super().__init__()
        for name, module in submodules.items():
            self.add_module(name, module)
        self.truncation = truncation

    def w(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """Turn z (n, z_dim) and classes (n,) into truncated w (n, w_dim)."""
        return self.mapping(latents, classes, truncation_psi=self.truncation)[:, 0]

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """Draw images (n, img_channels, h, w) of latents z (n, z_dim) and classes (n,)."""
        return self.synthesis(self.mapping(latents, classes, truncation_psi=self.truncation))
