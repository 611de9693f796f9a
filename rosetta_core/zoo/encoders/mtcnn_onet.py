"""O-Net, the third and last face detector of MTCNN (Zhang et al., 2016)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rosetta_core.zoo.construction import refuse_arguments
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]


class ONet(nn.Module):
    """Four convolutions on a 48×48 face crop, and three heads: face, box, landmarks."""

    def __init__(self) -> None:
        super().__init__()
        convolutions: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        sizes = [(32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)]  # channels, kernel, pooling
        for number, (outputs, kernel, pool) in enumerate(sizes, start=1):
            convolutions[f"conv{number}"] = nn.Conv2d(channels, outputs, kernel)
            convolutions[f"prelu{number}"] = nn.PReLU(outputs)
            if pool:
                convolutions[f"pool{number}"] = nn.MaxPool2d(pool, 2, ceil_mode=True)
            channels = outputs
        for name, module in convolutions.items():
            self.add_module(name, module)
        self._order = list(convolutions)
        self.dense5 = nn.Linear(128 * 3 * 3, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map crops (n, 3, 48, 48) to face probabilities (n, 2), boxes (n, 4), points (n, 10)."""
        for name in self._order:
            x = self.get_submodule(name)(x)  # (n, 128, 3, 3) at the end
        # the published weights number the positions of a map column by column
        x = self.prelu5(self.dense5(x.transpose(1, 3).flatten(1)))  # (n, 256)
        return self.dense6_1(x).softmax(1), self.dense6_2(x), self.dense6_3(x)


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build the detector with random weights; the preset is the first three PReLUs.

    Raises:
        RosettaError: an architecture or arguments are given.
    """
    refuse_arguments(architecture, arguments, family="mtcnn_onet")
    preprocessing = Input(size=48, interpolation="bilinear", mean=[0.5] * 3, std=[0.5] * 3)
    return Encoder(network=ONet(), input=preprocessing, preset=("prelu1", "prelu2", "prelu3"))
