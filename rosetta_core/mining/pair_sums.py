"""Pairs of units, image by image: one pass over the maps of the units that are in pairs.

PairSums     the sums behind the correlations of pairs, apart for every group of images
pair_sums    gather them
peaks        where maps are highest
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.enlarged import EnlargedSums
from rosetta_core.mining.grids import Grid, common_grids
from rosetta_core.mining.maps import Maps, images_at_once
from rosetta_core.mining.moments import centre
from rosetta_core.mining.resize import adjoint
from rosetta_core.mining.some_units import SomeUnits
from rosetta_core.mining.tiles import centred
from rosetta_core.mining.workers import Workers
from rosetta_core.progress import Progress

__all__ = ["PairSums", "pair_sums", "peaks"]

Float64 = NDArray[np.float64]
MOST_GROUPS = 128  # of images, by which intervals are drawn
SAME = 1 / 8  # of the image's sides, by which two peaks may be apart to be at one place
MOST_BYTES = 16 * 2**20  # of maps multiplied at once


@dataclass(frozen=True)
class PairSums:
    """Sums over images and positions of the larger grid of two units, by group of images.

    Attributes:
        positions: by group and pair how many there are (groups, n).
        products: <Uf, Ug> (groups, n).
        totals: sum(Uf), and sum(Ug) (groups, n).
        squares: |Uf|², and |Ug|² (groups, n).
        colocated: on which share of the images both maps peak at one place (n,).
    """

    positions: Float64
    products: Float64
    totals: tuple[Float64, Float64]
    squares: tuple[Float64, Float64]
    colocated: Float64

    def __getitem__(self, pairs: slice) -> "PairSums":
        """The sums of some of the pairs."""
        return PairSums(
            self.positions[:, pairs],
            self.products[:, pairs],
            (self.totals[0][:, pairs], self.totals[1][:, pairs]),
            (self.squares[0][:, pairs], self.squares[1][:, pairs]),
            self.colocated[pairs],
        )


@dataclass(frozen=True)
class _Seen:
    """A layer's units on some images: reduced maps by grid (c, n, h, w), peaks (c, n, 2)."""

    reduced: dict[Grid, Tensor]
    peaks: NDArray[np.float32]


class _Side:
    """The units of one model that are in pairs.

    Attributes:
        maps: of these units.
        layer: by pair the number of its unit's layer among them (n,).
        channel: by pair its unit's channel there (n,).
    """

    def __init__(self, maps: Maps, units: NDArray[np.int64]) -> None:
        self.maps = SomeUnits(maps, units)
        ends = np.cumsum([layer.channels for layer in self.maps.layers])
        row = np.searchsorted(self.maps.units, units)
        self.layer = np.searchsorted(ends, row, side="right")
        self.channel = row - (ends - [layer.channels for layer in self.maps.layers])[self.layer]
        self._centres = [torch.from_numpy(centre(moments)) for moments in self.maps.moments()]
        self._smalls: list[set[Grid]] = []
        self._sums: list[EnlargedSums] = []

    @property
    def numbers(self) -> range:
        """Of the layers."""
        return range(len(self.maps.layers))

    def grid(self, layer: int) -> Grid:
        return self.maps.layers[layer].grid

    def meet(self, commons: Sequence[Collection[tuple[Grid, Grid]]], *, groups: int) -> None:
        """Prepare for the smaller and larger grids at which each layer meets the other side's."""
        for layer, grids in zip(self.maps.layers, commons, strict=True):
            self._smalls.append({small for small, _ in grids})
            larges = {large for _, large in grids}
            self._sums.append(
                EnlargedSums(
                    layer.grid,
                    larges,
                    channels=layer.channels,
                    device=torch.device("cpu"),
                    groups=groups,
                )
            )

    def look(self, images: range, group_of: NDArray[np.int64]) -> Callable[[int], _Seen]:
        """Return what takes in a layer's maps of some images, which are in these groups."""
        return lambda layer: self._look(layer, images, group_of)

    def _look(self, layer: int, images: range, group_of: NDArray[np.int64]) -> _Seen:
        stored = self.maps.read(layer, images).transpose(0, 1)  # (c, n, h, w)
        maps = centred(stored, self._centres[layer], out=None)
        for group in np.unique(group_of):
            first, last = np.searchsorted(group_of, [group, group + 1])
            self._sums[layer].add(maps[:, first:last], group=int(group))
        return _Seen(adjoint(maps, self._smalls[layer]), peaks(maps))

    def sums(self, larges: Sequence[Grid]) -> tuple[Float64, Float64]:
        """Return by pair the sums and the sums of squares (groups, n), given its larger grid."""
        found = []
        for layer, channel, large in zip(self.layer, self.channel, larges, strict=True):
            found.append([sums[:, channel] for sums in self._sums[layer].sums(large)])
        totals, squares = (torch.stack(sums, dim=1).numpy() for sums in zip(*found, strict=True))
        return totals, squares


@torch.no_grad()
def pair_sums(
    pivot: Maps, encoder: Maps, *, pairs: NDArray[np.int64], memory_budget: int, threads: int
) -> PairSums:
    """Look at pairs of units on every image.

    Two maps peak at one place if their highest positions are no more than an eighth of the image's
    sides apart.

    Args:
        pivot: stored maps.
        encoder: the same of the other model.
        pairs: units of the pivot and of the encoder (n, 2), one or more.
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.
    """
    images = pivot.images
    groups = min(MOST_GROUPS, images)
    group_of = np.arange(images) * groups // images
    own, other = (_Side(maps, units) for maps, units in zip((pivot, encoder), pairs.T, strict=True))
    meetings: dict[tuple[int, int], list[int]] = {}
    layers_of = list(zip(own.layer.tolist(), other.layer.tolist(), strict=True))
    for pair, layers in enumerate(layers_of):
        meetings.setdefault(layers, []).append(pair)
    commons = {(i, j): common_grids(own.grid(i), other.grid(j)) for i, j in meetings}
    for number, side in enumerate((own, other)):
        met: list[set[tuple[Grid, Grid]]] = [set() for _ in side.maps.layers]
        for layers, grids in commons.items():
            met[layers[number]].add(grids)
        side.meet(met, groups=groups)
    products, colocated = np.zeros((groups, len(pairs))), np.zeros(len(pairs))
    held = sum(3 * 4 * layer.size for side in (own, other) for layer in side.maps.layers)
    title = f"pairs of {pivot.name} and {encoder.name}"
    with Workers(threads) as workers, Progress(title, total=images) as progress:
        for some in pivot.pieces(images_at_once(held, memory_budget=memory_budget)):
            of = group_of[some.start : some.stop]
            firsts = np.flatnonzero(np.diff(of, prepend=-1))  # image of each group
            seen = [list(workers.map(side.look(some, of), side.numbers)) for side in (own, other)]
            for (i, j), which in meetings.items():
                f, g = seen[0][i], seen[1][j]
                small, _ = commons[i, j]
                channels = own.channel[which], other.channel[which]
                by_image = _products(f.reduced[small], g.reduced[small], *channels)
                products[of[firsts][:, None], which] += np.add.reduceat(by_image, firsts, axis=0)
                apart = np.abs(f.peaks[channels[0]] - g.peaks[channels[1]])  # (pairs, n, 2)
                colocated[which] += (apart <= SAME).all(2).sum(1)
            progress.advance(len(some))
    larges = [commons[layers][1] for layers in layers_of]
    (totals, squares), (others, other_squares) = own.sums(larges), other.sums(larges)
    per_image = np.array([height * width for height, width in larges])
    sizes = np.bincount(group_of, minlength=groups)
    return PairSums(
        positions=np.outer(sizes, per_image).astype(np.float64),
        products=products,
        totals=(totals, others),
        squares=(squares, other_squares),
        colocated=colocated / images,
    )


def peaks(maps: Tensor) -> NDArray[np.float32]:
    """Return where maps (c, n, h, w) are highest, as shares of the image's sides (c, n, 2).

    NaN where a map is the same everywhere.
    """
    height, width = maps.shape[2:]
    flat = maps.flatten(2).numpy()  # (c, n, p); NumPy finds places several times as fast
    row, column = np.divmod(flat.argmax(2), width)
    found = np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=-1).astype(np.float32)
    found[flat.max(2) == flat.min(2)] = np.nan
    return found


def _products(
    f: Tensor, g: Tensor, own: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    """By image and pair the product of two reduced maps (n, pairs), a few pairs at once."""
    flat = f.flatten(2).numpy(), g.flatten(2).numpy()  # (c, n, p) each
    step = max(1, MOST_BYTES // (8 * flat[0][0].size))
    found = np.empty((f.shape[1], len(own)))
    for start in range(0, len(own), step):
        inside = slice(start, start + step)
        first, second = flat[0][own[inside]], flat[1][other[inside]]
        found[:, inside] = np.einsum("knp,knp->nk", first, second, dtype=np.float64)
    return found
