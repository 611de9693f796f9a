"""Pairs of units, image by image: one pass over the maps of the units that are in pairs.

PairSums     the sums behind the correlations of pairs, apart for every group of images
pair_sums    gather them
peaks        where maps are highest
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.moments import centring_shift
from rosetta_core.mining.correlation.resize import apply_adjoint
from rosetta_core.mining.correlation.resized_moments import resized_sums
from rosetta_core.mining.correlation.tiles import centre_maps
from rosetta_core.mining.sources.base import ActivationSource, fit_batch_size
from rosetta_core.mining.sources.subset import UnitSubset
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["PairSums", "pair_sums", "peaks"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
MOST_GROUPS = 128  # of images, by which intervals are drawn
SAME = 1 / 8  # of the image's sides, by which two peaks may be apart to be at one place


@dataclass(frozen=True)
class PairSums:
    """Sums over images and positions of the larger grid of two units, by group of images.

    Attributes:
        positions: by group and pair how many there are (groups, n).
        products: <Uf, Ug> (groups, n).
        totals: sum(Uf), and sum(Ug) (groups, n).
        squares: |Uf|², and |Ug|² (groups, n).
        peak_overlap: on which share of the images both maps peak at one place (n,).
    """

    positions: Float64
    products: Float64
    totals: tuple[Float64, Float64]
    squares: tuple[Float64, Float64]
    peak_overlap: Float64

    def __getitem__(self, pairs: slice) -> "PairSums":
        """The sums of some of the pairs."""
        return PairSums(
            self.positions[:, pairs],
            self.products[:, pairs],
            (self.totals[0][:, pairs], self.totals[1][:, pairs]),
            (self.squares[0][:, pairs], self.squares[1][:, pairs]),
            self.peak_overlap[pairs],
        )


@dataclass(frozen=True)
class _Seen:
    """Some units of a layer on some images.

    Attributes:
        reduced: by grid the maps at it (c, n, h·w).
        sums: by larger grid sum(Uf) and |Uf|² (c, n) each.
        peaks: (c, n, 2).
    """

    reduced: dict[Grid, Float32]
    sums: dict[Grid, tuple[Float32, Float32]]
    peaks: Float32


class _Side:
    """The units of one model that are in pairs.

    Attributes:
        maps: of these units.
        layer: by pair the number of its unit's layer among them (n,).
        channel: by pair its unit's channel there (n,).
        smaller: by layer the grids at which its maps are multiplied.
        larger: by layer the grids that its maps are enlarged to.
    """

    def __init__(self, maps: ActivationSource, units: NDArray[np.int64]) -> None:
        self.maps = UnitSubset(maps, units)
        ends = np.cumsum([layer.channels for layer in self.maps.layers])
        row = np.searchsorted(self.maps.units, units)
        self.layer = np.searchsorted(ends, row, side="right")
        self.channel = row - (ends - [layer.channels for layer in self.maps.layers])[self.layer]
        self.smaller: list[set[Grid]] = [set() for _ in self.maps.layers]
        self.larger: list[set[Grid]] = [set() for _ in self.maps.layers]
        self._centres = [
            torch.from_numpy(centring_shift(moments)) for moments in self.maps.moments()
        ]

    def look(self, layer: int, images: range, channels: slice = slice(None)) -> _Seen:
        """Take in the maps of some images and channels of a layer."""
        stored = self.maps.read(layer, images, channels).transpose(0, 1)  # (c, n, h, w)
        maps = centre_maps(stored, self._centres[layer][channels], out=None)
        reduced = apply_adjoint(maps, self.smaller[layer])
        sums = resized_sums(maps, self.larger[layer])
        return _Seen(
            reduced={grid: found.flatten(2).numpy() for grid, found in reduced.items()},
            sums={grid: (found.numpy(), of.numpy()) for grid, (found, of) in sums.items()},
            peaks=peaks(maps),
        )


@dataclass(frozen=True)
class _Meeting:
    """Pairs of one layer of the pivot and some channels of one of the encoder.

    Attributes:
        pairs: which (k,).
        layer: the pivot's.
        own: the channels there (k,).
        other: the encoder's, counted from the first of these (k,).
        small: the grid where they are multiplied.
        large: the grid that both are enlarged to.
    """

    pairs: NDArray[np.int64]
    layer: int
    own: NDArray[np.int64]
    other: NDArray[np.int64]
    small: Grid
    large: Grid

    def by_image(self, f: _Seen, g: _Seen) -> tuple[Float32, NDArray[np.bool_]]:
        """Return <Uf, Ug>, sums and sums of squares (5, k, n), and where both peak alike (k, n)."""
        first, second = f.reduced[self.small], g.reduced[self.small]
        products = [
            np.vecdot(first[i], second[j]) for i, j in zip(self.own, self.other, strict=True)
        ]
        of_f, of_g = f.sums[self.large], g.sums[self.large]
        sums = [each[c] for c, two in ((self.own, of_f), (self.other, of_g)) for each in two]
        apart = np.abs(f.peaks[self.own] - g.peaks[self.other])  # (k, n, 2)
        return np.stack([np.stack(products), *sums]), (apart <= SAME).all(2)


def _meetings(own: _Side, other: _Side) -> list[tuple[int, slice, list[_Meeting]]]:
    """The encoder's layers, their channels that are read at once, and whom these meet."""
    found = []
    for layer, theirs in enumerate(other.maps.layers):
        for channels in other.maps.chunks(layer):
            inside = (channels.start <= other.channel) & (other.channel < channels.stop)
            pairs = np.flatnonzero((other.layer == layer) & inside)
            met = []
            for mine in np.unique(own.layer[pairs]).tolist():
                some = pairs[own.layer[pairs] == mine]
                channel = own.channel[some], other.channel[some] - channels.start
                grids = common_grids(own.maps.layers[mine].grid, theirs.grid)
                met.append(_Meeting(some, mine, *channel, *grids))
                for side, its in ((own, mine), (other, layer)):
                    side.smaller[its].add(grids[0])
                    side.larger[its].add(grids[1])
            found.append((layer, channels, met))
    return found


@torch.no_grad()
def pair_sums(
    pivot: ActivationSource,
    encoder: ActivationSource,
    *,
    pairs: NDArray[np.int64],
    memory_budget: int,
    threads: int,
) -> PairSums:
    """Look at pairs of units on every image.

    Two maps peak at one place if their highest positions are no more than an eighth of the image's
    sides apart.

    Args:
        pivot: stored maps.
        encoder: the same of the other model, or of several joined.
        pairs: units of the pivot and of the encoder (n, 2), one or more.
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.
    """
    images = pivot.images
    groups = min(MOST_GROUPS, images)
    group_of = np.arange(images) * groups // images
    own, other = (_Side(maps, units) for maps, units in zip((pivot, encoder), pairs.T, strict=True))
    meetings = _meetings(own, other)
    sums, peak_overlap = np.zeros((5, groups, len(pairs))), np.zeros(len(pairs))
    positions = np.empty(len(pairs))
    for _, _, met in meetings:
        for meeting in met:
            positions[meeting.pairs] = meeting.large[0] * meeting.large[1]
    held = 3 * 4 * sum(layer.size for layer in own.maps.layers)
    title = f"pairs of {pivot.name} and {encoder.name}"
    with TorchThreadPool(threads) as workers, Progress(title, total=images) as progress:
        for some in pivot.iter_batches(fit_batch_size(held, memory_budget=memory_budget)):
            group, firsts = np.unique(group_of[some.start : some.stop], return_index=True)
            look = partial(own.look, images=some)
            seen = list(workers.map(look, range(len(own.maps.layers))))
            add = partial(_add, other, seen, images=some, firsts=firsts)
            for found in workers.map(add, meetings):
                for meeting, by_group, together in found:
                    sums[:, group[:, None], meeting.pairs] += by_group
                    peak_overlap[meeting.pairs] += together
            progress.advance(len(some))
    products, f, of_f, g, of_g = sums
    return PairSums(
        positions=np.outer(np.bincount(group_of, minlength=groups), positions),
        products=products,
        totals=(f, g),
        squares=(of_f, of_g),
        peak_overlap=peak_overlap / images,
    )


def _add(
    other: _Side,
    seen: Sequence[_Seen],
    meeting: tuple[int, slice, Sequence[_Meeting]],
    *,
    images: range,
    firsts: NDArray[np.int64],
) -> list[tuple[_Meeting, Float64, NDArray[np.int64]]]:
    """The sums of pairs (5, groups, k), and on how many images they peak alike (k,)."""
    layer, channels, met = meeting
    theirs, found = other.look(layer, images, channels), []
    for one in met:
        by_image, together = one.by_image(seen[one.layer], theirs)
        by_group = np.add.reduceat(by_image, firsts, axis=2, dtype=np.float64)
        found.append((one, by_group.swapaxes(1, 2), together.sum(1)))
    return found


def peaks(maps: Tensor) -> NDArray[np.float32]:
    """Return where maps (c, n, h, w) are highest, as shares of the image's sides (c, n, 2).

    NaN where a map is the same everywhere.
    """
    height, width = maps.shape[2:]
    flat = maps.flatten(2).numpy()  # (c, n, p); NumPy finds places several times as fast
    place = flat.argmax(2)
    row, column = np.divmod(place, width)
    found = np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=-1).astype(np.float32)
    highest = np.take_along_axis(flat, place[..., None], axis=2)[..., 0]
    found[highest == flat.min(2)] = np.nan
    return found
