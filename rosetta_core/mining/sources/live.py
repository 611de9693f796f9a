"""Activation maps of a model, computed by running its network when they are loaded.

Maps are rounded to float16, as stores hold them, except those of chosen layers; moments are taken
before the rounding.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.mining.correlation.moments import Moments, pool_moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.memory import exhaustion_message
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.network import Encoder, Network

__all__ = ["LiveActivations", "map_moments", "raw_moments"]

PILOT_IMAGES = 8  # images whose moments centre the maps


class LiveActivations(ActivationSource):
    """The activation maps of one model; `load` runs the network on a batch of images.

    Attributes:
        name: name of the model.
        layers: layers whose maps are recorded; units are numbered through them.
        images: number of images.
        network: the model.
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
        first_image: int = 0,
        float32: Collection[str] = (),
    ) -> None:
        """Prepare to run a network.

        Args:
            model: the model, on `device`.
            name: name of the model.
            layers: layers whose maps are recorded.
            inputs: returns the inputs of some images: of a generator the latents (n, z) and, if it
                is class-conditional, the classes (n,); of an encoder the images (n, h, w, 3) uint8.
            images: number of images.
            batch_size: images per forward pass. With 1, the maps of an image depend on nothing
                else; with more, their last bits depend on the batch, and with them the rounding to
                float16.
            device: device of the network and of the maps.
            first_image: number of the first image in the run, for error messages.
            float32: names of layers whose maps are kept as float32, since float16 cannot hold them.
        """
        self.name, self.layers, self.images = name, list(layers), images
        self.network, self._inputs, self._batch_size = model, inputs, batch_size
        self._device, self._first_image = device, first_image
        self._types = [torch.float32 if x.name in float32 else torch.float16 for x in self.layers]
        self._numbers = {layer.name: number for number, layer in enumerate(self.layers)}
        self._loaded = range(0)
        self._maps: list[Tensor] = []  # by layer, (c, n, h, w)
        self._raw: list[Tensor] = []  # by layer, the raw moments of each map (3, n, c)
        self._pooled: list[list[Moments]] = [[] for _ in layers]  # by layer, at most one
        self._pooled_images = 0
        self._pilot: list[Moments] = []
        self._thread = threading.local()  # `start`: the thread's first image in the batch

    @torch.no_grad()
    def load(self, images: range, workers: TorchThreadPool) -> None:
        """Run the network on a batch of images and keep their maps, in place of earlier ones.

        Raises:
            RosettaError: the network fails; or its maps have another shape, NaN, infinity, or a
                value beyond the range of float16.
        """
        if images == self._loaded:
            return
        self.release()
        self._maps = [
            torch.empty(
                (layer.channels, len(images), *layer.grid), dtype=dtype, device=self._device
            )
            for layer, dtype in zip(self.layers, self._types, strict=True)
        ]
        self._raw = [
            torch.empty((3, len(images), layer.channels), device=self._device)
            for layer in self.layers
        ]
        inputs = [torch.from_numpy(part) for part in self._inputs(images)]

        def run(start: int) -> None:
            self._thread.start = start
            batch = [part[start : start + self._batch_size].to(self._device) for part in inputs]
            with self._reported(images[start : start + self._batch_size]):
                if isinstance(self.network, Encoder):
                    self.network.forward(preprocess(batch[0], self.network.input))
                else:
                    self.network.network(*batch)

        starts = range(0, len(images), self._batch_size)
        self._loaded = images
        with self.network.capture(list(self._numbers), receive=self._receive):
            # a GPU runs one pass at a time in any case
            for _ in workers.map(run, starts) if self._device.type == "cpu" else map(run, starts):
                pass
        for number, raw in enumerate(self._raw):
            self._pool(number, raw)
        self._pooled_images = max(self._pooled_images, images.stop)

    def restrict(self, images: range) -> "LiveActivations":
        """Return the activations of consecutive images, from the same network."""
        return LiveActivations(
            self.network,
            name=self.name,
            layers=self.layers,
            inputs=lambda numbers: self._inputs(images[numbers.start : numbers.stop]),
            images=len(images),
            batch_size=self._batch_size,
            device=self._device,
            first_image=self._first_image + images.start,
            float32=self.float32,
        )

    def release(self) -> None:
        """Drop the loaded maps."""
        self._loaded, self._maps, self._raw = range(0), [], []

    def bytes_per_image(self) -> int:
        """Return the bytes of one image's maps."""
        return sum(
            dtype.itemsize * layer.size
            for layer, dtype in zip(self.layers, self._types, strict=True)
        )

    @property
    def float32(self) -> list[str]:
        """Names of the layers whose maps are kept as float32."""
        pairs = zip(self.layers, self._types, strict=True)
        return [layer.name for layer, dtype in pairs if dtype == torch.float32]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of loaded images, float16 or float32."""
        inside = slice(images.start - self._loaded.start, images.stop - self._loaded.start)
        return self._maps[layer][channels, inside].transpose(0, 1)

    def pilot_moments(self) -> list[Moments]:
        """Return the moments over the first images, which are close enough to centre maps."""
        if not self._pilot:
            with TorchThreadPool(1) as workers:
                self.load(range(min(PILOT_IMAGES, self.images)), workers)
            self.release()
            self._pilot = self.moments()
            self._pooled, self._pooled_images = [[] for _ in self.layers], 0
        return self._pilot

    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images loaded so far, from before the rounding."""
        return [pooled[0] for pooled in self._pooled]

    def describe(self, layer: int, image: int) -> str:
        """Return the model, the layer and the image of a map."""
        return super().describe(layer, self._first_image + image)

    def _receive(self, layer: str, maps: Tensor) -> None:
        """Keep the maps (n, c, h, w) of a forward pass, rounded, and their raw moments."""
        number, start = self._numbers[layer], self._thread.start
        expected = (
            min(self._batch_size, len(self._loaded) - start),
            self.layers[number].channels,
            *self.layers[number].grid,
        )
        if tuple(maps.shape) != expected:
            raise RosettaError(
                f"{self.describe(number, self._loaded[start])}: the maps have shape "
                f"{tuple(maps.shape)}, not {expected} as for the model's probe image; the network "
                "has to return maps of one size, and to keep the batch"
            )
        inside = slice(start, start + len(maps))
        self._maps[number][:, inside].copy_(maps.to(self._types[number]).transpose(0, 1))
        for stored, values in zip(self._raw[number], raw_moments(maps.float()), strict=True):
            stored[inside] = values

    @contextmanager
    def _reported(self, images: range) -> Iterator[None]:
        """Report what a network raises in one line that names the model and the images."""
        try:
            yield
        except RosettaError:
            raise
        except Exception as error:
            if exhaustion_message(error):
                raise
            first, last = (self._first_image + image for image in (images[0], images[-1]))
            which = f"image {first}" if first == last else f"images {first} to {last}"
            raise RosettaError(
                f"{self.name}: the network fails on {which} ({describe_exception(error)}); correct "
                "its forward, or leave the image out"
            ) from error

    def _pool(self, layer: int, raw: Tensor) -> None:
        """Pool the moments of the loaded maps of a layer; refuse maps that cannot be stored."""
        positions = self.layers[layer].height * self.layers[layer].width
        mean, deviation = map_moments(*raw, positions=positions)
        # |x − mean| ≤ √(sum of squared deviations) for every value x of a map
        if not bool((mean.abs() + deviation.sqrt() <= self._limit(layer)).all()):
            self._refuse_unstorable(layer)
        if self._loaded.start >= self._pooled_images:  # images may be loaded a second time
            rows = zip(mean.cpu().numpy(), deviation.cpu().numpy(), strict=True)
            parts = [Moments(positions, *row) for row in rows]
            self._pooled[layer] = [pool_moments([*self._pooled[layer], *parts])]

    def _limit(self, layer: int) -> float:
        """Return the largest value that the maps of a layer can hold."""
        return torch.finfo(self._types[layer]).max

    def _refuse_unstorable(self, layer: int) -> None:
        """Raise an error if a loaded map has NaN or a value beyond the range of its type."""
        bad = (~self._maps[layer].isfinite()).nonzero()
        if not len(bad):
            return
        channel, image, row, column = (int(i) for i in bad[bad[:, 1].argmin()])
        where = (
            f"{self.describe(layer, self._loaded[image])}, channel {channel}, position "
            f"({row}, {column})"
        )
        name = self.layers[layer].name
        if self._maps[layer][channel, image, row, column].isnan():
            raise RosettaError(f"{where}: the activation is NaN; exclude the layer")
        if self._types[layer] == torch.float32:
            raise RosettaError(f"{where}: the activation is infinite; exclude the layer")
        raise RosettaError(
            f"{where}: the activation is beyond ±{self._limit(layer):.0f} and cannot be stored as "
            f"float16; set float32_layers: [{name}] in the model's section, or exclude the layer"
        )


def raw_moments(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return float32 sums of single maps, from which `map_moments` computes exact moments.

    Args:
        maps: float32 maps (n, c, h, w).

    Returns:
        Each (n, c): the mean, the sum of deviations from it (not 0, since the mean is rounded), and
        the sum of squared deviations. Nothing cancels in these sums.
    """
    mean = maps.mean(dim=(2, 3), keepdim=True)  # (n, c, 1, 1)
    centred = maps - mean
    rest = centred.sum(dim=(2, 3))
    return mean[:, :, 0, 0], rest, centred.square_().sum(dim=(2, 3))


def map_moments(
    mean: Tensor, rest: Tensor, squares: Tensor, *, positions: int
) -> tuple[Tensor, Tensor]:
    """Return the mean and the sum of squared deviations of single maps, in float64.

    Args:
        mean: mean of each map, rounded to float32.
        rest: sum of deviations from `mean`.
        squares: sum of squared deviations from `mean`.
        positions: number of positions of a map.
    """
    rest = rest.double()
    deviation = (squares.double() - rest.square() / positions).clamp_(min=0)
    return mean.double() + rest / positions, deviation
