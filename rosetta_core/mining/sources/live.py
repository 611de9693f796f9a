"""The activation maps of a model, from the network as it runs: nothing is stored.

LiveMaps       the maps of a model, for the correlations or for a store
raw_moments    sums of single maps in float32
map_moments    the moments of single maps, from those
rounded        float16 with fewer bits of mantissa
"""

import threading
from collections.abc import Callable, Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.moments import Moments, pool
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.workers import Workers
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.network import Encoder, Network

__all__ = ["LiveActivations", "map_moments", "raw_moments", "rounded"]

LARGEST = torch.finfo(torch.float16).max
MANTISSA = 10  # bits of float16's
PILOT = 8  # images that maps are centred by


class LiveActivations(ActivationSource):
    """The activation maps of one model over images; `load` runs the network over some of them.

    Attributes:
        name: of the model.
        layers: in order; units are numbered through them.
        images: how many.
        network: the model itself.
        keepbits: bits of mantissa that maps are rounded to, None for all.
    """

    def __init__(
        self,
        model: Network,
        *,
        name: str,
        layers: Sequence[Layer],
        inputs: Callable[[range], tuple[NDArray, ...]],
        images: int,
        batch_size: int,
        device: torch.device,
        keepbits: int | None = None,
        first: int = 0,
    ) -> None:
        """Prepare to run a network.

        Args:
            model: the network, on `device`.
            name: of the model.
            layers: whose maps.
            inputs: what goes in for some images: latents (n, z) and, if the generator has any,
                classes (n,); or images (n, h, w, 3) in bytes.
            images: how many there are.
            batch_size: images per forward pass. With 1, an image's maps depend on nothing else;
                with more, the last bits depend on the batch, and with them the rounding to float16.
            device: where the network is; the maps stay there.
            keepbits: bits of mantissa to round to.
            first: the running number of the first image, to name it in an error.
        """
        self.name, self.layers, self.images = name, list(layers), images
        self.network, self._inputs, self._batch = model, inputs, batch_size
        self._device, self.keepbits, self._first = device, keepbits, first
        self._numbers = {layer.name: number for number, layer in enumerate(self.layers)}
        self._loaded = range(0)
        self._maps: list[Tensor] = []  # by layer, (c, n, h, w) float16
        self._raw: list[Tensor] = []  # by layer, what moments are made of (3, n, c)
        self._pooled: list[list[Moments]] = [[] for _ in layers]  # by layer, at most one
        self._seen = 0
        self._about: list[Moments] = []
        self._current = threading.local()  # the image that a thread is at

    def load(self, images: range, workers: Workers) -> None:
        """Run the network over some images and hold their maps.

        Raises:
            RosettaError: a map holds NaN, infinity, or a value that float16 can't hold.
        """
        if images == self._loaded:
            return
        self.release()
        self._maps = [
            torch.empty(
                (layer.channels, len(images), *layer.grid), dtype=torch.float16, device=self._device
            )
            for layer in self.layers
        ]
        self._raw = [
            torch.empty((3, len(images), layer.channels), device=self._device)
            for layer in self.layers
        ]
        inputs = [torch.from_numpy(part) for part in self._inputs(images)]

        def run(start: int) -> None:
            self._current.start = start
            batch = [part[start : start + self._batch].to(self._device) for part in inputs]
            if isinstance(self.network, Encoder):
                batch = [preprocess(batch[0], self.network.input)]
            self.network.network(*batch)

        starts = range(0, len(images), self._batch)
        self._loaded = images
        with self.network.capture(list(self._numbers), receive=self._receive):
            # a GPU runs one pass at a time anyhow
            for _ in workers.map(run, starts) if self._device.type == "cpu" else map(run, starts):
                pass
        for number, raw in enumerate(self._raw):
            self._take_moments(number, raw)
        self._seen = max(self._seen, images.stop)

    def _take_moments(self, layer: int, raw: Tensor) -> None:
        """Pool the moments of the loaded maps of a layer; refuse what can't be stored."""
        positions = self.layers[layer].height * self.layers[layer].width
        mean, deviation = map_moments(*raw, positions=positions)
        # no value is farther from its map's mean than the root of the squared deviations' sum
        if not bool((mean.abs() + deviation.sqrt() <= LARGEST).all()):
            self._refuse_unstorable(layer)
        if self._loaded.start >= self._seen:  # images may be loaded again
            rows = zip(mean.cpu().numpy(), deviation.cpu().numpy(), strict=True)
            parts = [Moments(positions, *row) for row in rows]
            self._pooled[layer] = [pool([*self._pooled[layer], *parts])]

    def release(self) -> None:
        """Let go of the maps."""
        self._loaded, self._maps, self._raw = range(0), [], []

    def held(self) -> int:
        """The bytes of an image's maps."""
        return sum(2 * layer.size for layer in self.layers)

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """The maps (n, c, h, w) float16 of loaded images."""
        inside = slice(images.start - self._loaded.start, images.stop - self._loaded.start)
        return self._maps[layer][channels, inside].transpose(0, 1)

    def pilot(self) -> list[Moments]:
        """The moments over the first images: near enough to centre maps by."""
        if not self._about:
            with Workers(1) as workers:
                self.load(range(min(PILOT, self.images)), workers)
            self.release()
            self._about = self.moments()
            self._pooled, self._seen = [[] for _ in self.layers], 0
        return self._about

    def moments(self) -> list[Moments]:
        """The moments of each layer over all images loaded so far, before rounding."""
        return [pooled[0] for pooled in self._pooled]

    def place(self, layer: int, image: int) -> str:
        """The model, the layer and the image."""
        return super().place(layer, self._first + image)

    def _receive(self, layer: str, maps: Tensor) -> None:
        """Keep a batch's maps (n, c, h, w), rounded, and their moments from before."""
        number, start = self._numbers[layer], self._current.start
        inside = slice(start, start + len(maps))
        half = rounded(maps.to(torch.float16), self.keepbits)
        self._maps[number][:, inside].copy_(half.transpose(0, 1))
        for kept, values in zip(self._raw[number], raw_moments(maps.float()), strict=True):
            kept[inside] = values

    def _refuse_unstorable(self, layer: int) -> None:
        """Raise if a loaded map holds NaN or infinity, or did before it was rounded to float16."""
        bad = (~self._maps[layer].isfinite()).nonzero()
        if len(bad):
            channel, image, row, column = (int(i) for i in bad[bad[:, 1].argmin()])
            raise RosettaError(
                f"{self.place(layer, self._loaded[image])}, channel {channel}, position "
                f"({row}, {column}): the activation is NaN or beyond ±{LARGEST:.0f}, and can't be "
                "stored as float16; leave the layer out"
            )


def raw_moments(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return of maps (n, c, h, w) in float32, each (n, c): the mean, and sums about it.

    The sums of what the rounded mean left over, and of squared deviations: nothing cancels.
    """
    mean = maps.mean(dim=(2, 3), keepdim=True)  # (n, c, 1, 1)
    centred = maps - mean
    rest = centred.sum(dim=(2, 3))
    return mean[:, :, 0, 0], rest, centred.square_().sum(dim=(2, 3))


def map_moments(
    mean: Tensor, rest: Tensor, squares: Tensor, *, positions: int
) -> tuple[Tensor, Tensor]:
    """Return mean and sum of squared deviations of maps in float64, from their raw moments."""
    rest = rest.double()
    deviation = (squares.double() - rest.square() / positions).clamp_(min=0)
    return mean.double() + rest / positions, deviation


def rounded(maps: Tensor, keepbits: int | None) -> Tensor:
    """Round float16 maps to `keepbits` bits of mantissa, ties to even; None keeps all 10.

    What would overflow keeps its bits.
    """
    if keepbits is None:
        return maps
    bits = maps.view(torch.int16)
    drop = MANTISSA - keepbits
    odd = (bits >> drop) & 1
    fewer = (bits + odd + (1 << drop - 1) - 1) & -(1 << drop)
    result = fewer.view(torch.float16)
    return torch.where(result.isfinite(), result, maps)
