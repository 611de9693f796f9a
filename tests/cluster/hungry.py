"""An encoder that takes more memory than can be told from its shapes.

build    two convolutions, and 1.5 GiB beside them
"""

import torch
from torch import nn

from rosetta_core.zoo.network import Encoder, Input

NUMBERS = 3 * 2**27  # of 4 bytes


def build() -> Encoder:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
    )
    network.eaten = torch.ones(NUMBERS)  # neither a parameter nor a map, so nobody counts it
    seen = Input(size=64, mean=[0.5] * 3, std=[0.5] * 3)
    return Encoder(network=network, preset=["1", "3"], input=seen)
