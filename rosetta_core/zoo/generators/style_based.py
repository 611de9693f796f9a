"""Common parts of StyleGAN2, StyleGAN3 and StyleGAN-XL in NVIDIA's layout.

Modules and tensors are named as in the published files (Karras et al., 2019 to 2021).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rosetta_core.zoo.generators.latents import one_hot
from rosetta_core.zoo.generators.stylegan2.modulated import Linear, truncate, unit_second_moment

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickles.networks import PickledModule

__all__ = ["SIZES", "MappingNetwork", "StyleBasedNetwork", "constructor_arguments"]

# first arguments of all constructors, and their minima
SIZES = {"z_dim": 1, "c_dim": 0, "w_dim": 1, "img_resolution": 4, "img_channels": 1}


def constructor_arguments(module: "PickledModule") -> dict[str, Any]:
    """Return the constructor arguments of a pickled generator by name, positional ones included."""
    return {**dict(zip(SIZES, module.positional, strict=False)), **module.arguments}


class MappingNetwork(nn.Module):
    """Fully connected layers from z, concatenated with an embedded class, to w.

    Attributes:
        w_avg: mean of w, the target of truncation.
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
        """Add the layers; embeddings and hidden layers are as long as w by default."""
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
        """Return the mean of w before training."""
        return torch.zeros(self.w_dim)

    def add_embedding(self, features: int) -> int:
        """Add the modules that embed a class; return the length of the embedding."""
        self.embed = Linear(self.c_dim, features)
        return features

    def embedded(self, rows: Tensor) -> Tensor:
        """Embed class rows (n, c_dim)."""
        return self.embed(rows)

    def mean(self, rows: Tensor | None) -> Tensor:
        """Return the mean of w, (w_dim,) or (n, w_dim), for class rows (n, c_dim)."""
        return self.w_avg

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map z and class labels to w+ (n, num_ws, w_dim).

        Args:
            z: standard normal latents (n, z_dim).
            c: class labels (n,), or rows (n, c_dim) that may mix classes.
            truncation_psi: ψ of `truncate`.
            truncation_cutoff: number of leading w vectors that are truncated; all by default.

        Raises:
            RosettaError: the network is conditional and labels are missing or out of range.
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
    """A mapping network and a synthesis network.

    Attributes:
        mapping: maps z and class labels to w+.
        synthesis: generates images from w+.
        truncation: ψ, the share of the distance of w from its mean that is retained.
    """

    mapping: MappingNetwork
    synthesis: nn.Module

    def __init__(self, submodules: Mapping[str, nn.Module], *, truncation: float) -> None:
        """Add `mapping` and `synthesis` in their order in the files."""
        super().__init__()
        for name, module in submodules.items():
            self.add_module(name, module)
        self.truncation = truncation

    def w(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """Map z (n, z_dim) and class labels (n,) to truncated w (n, w_dim)."""
        return self.mapping(latents, classes, truncation_psi=self.truncation)[:, 0]

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """Generate images (n, img_channels, h, w) from z (n, z_dim) and class labels (n,)."""
        return self.synthesis(self.mapping(latents, classes, truncation_psi=self.truncation))
