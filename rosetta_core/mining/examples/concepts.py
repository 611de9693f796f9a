"""Concept scores, and heat maps of representative units on every image.

For a Rosetta neuron j and a best buddy k, standardised and resized to their common grid, the mean
of G^j · D^k over all images and positions is their correlation (paper, Eq. 1 and 2). The mean over
the positions of one image is this image's part in it. A concept's score on an image is this mean,
averaged over the concept's pairs with each encoder, and then over the encoders, so that an encoder
with many units does not dominate one with few. As in the correlations, no map is enlarged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import Crc32cCodec

from rosetta_core.io.stores.store import ZSTD, create_array, new_store
from rosetta_core.mining.correlation.resize import apply_adjoint
from rosetta_core.mining.examples.heat_maps import LARGEST_SIDE, downsample, quantise
from rosetta_core.mining.matching.concepts import representative_units
from rosetta_core.mining.sources.base import MAX_BATCH_IMAGES, ActivationSource, fit_batch_size
from rosetta_core.mining.sources.subset import UnitPositions
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["PairBlock", "concept_scores", "pair_blocks", "write_concept_examples"]


@dataclass(frozen=True)
class PairBlock:
    """Best-buddy pairs of a concept between one layer of the pivot and one of an encoder.

    Attributes:
        encoder: name of the encoder.
        pivot_layer: number of the pivot's layer.
        encoder_layer: number of the encoder's layer.
        pivot_positions: positions of the J units among the chosen units of the pivot's layer.
        encoder_positions: positions of the K units among those of the encoder's layer.
        pairs: 1 where two units are best buddies, else 0 (J, K).
    """

    encoder: str
    pivot_layer: int
    encoder_layer: int
    pivot_positions: Sequence[int]
    encoder_positions: Sequence[int]
    pairs: NDArray[np.float32]


def concept_scores(
    blocks: Sequence[PairBlock], maps: Mapping[str, Mapping[int, Tensor]], *, pivot: str
) -> NDArray[np.float64]:
    """Compute the score of a concept on each image (n,).

    Args:
        blocks: all best-buddy pairs of the concept.
        maps: by model and layer the standardised maps (n, c, h, w) of the chosen units.
        pivot: name of the pivot.
    """
    by_encoder: dict[str, list[PairBlock]] = {}
    for block in blocks:
        by_encoder.setdefault(block.encoder, []).append(block)
    means = []
    for encoder, parts in by_encoder.items():
        products = np.stack([_products(block, maps[pivot], maps[encoder]) for block in parts])
        means.append(products.sum(0) / sum(float(block.pairs.sum()) for block in parts))  # (n,)
    return np.mean(means, axis=0)


def _products(
    block: PairBlock, pivot: Mapping[int, Tensor], encoder: Mapping[int, Tensor]
) -> NDArray[np.float64]:
    """Sum over pairs of the mean product of their maps, by image (n,)."""
    f = pivot[block.pivot_layer][:, list(block.pivot_positions)]  # (n, J, h, w)
    g = encoder[block.encoder_layer][:, list(block.encoder_positions)]  # (n, K, h', w')
    small, large = common_grids(_grid(f), _grid(g))
    f, g = (apply_adjoint(maps, [small])[small] for maps in (f, g))
    partners = torch.einsum("jk,nkhw->njhw", torch.from_numpy(block.pairs), g)
    summed = (f * partners).sum(dim=(1, 2, 3), dtype=torch.float64)
    return summed.numpy() / (large[0] * large[1])


def _grid(maps: Tensor) -> Grid:
    return maps.shape[-2], maps.shape[-1]


def write_concept_examples(
    store: Path,
    rosetta: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    maps: Mapping[str, ActivationSource],
    memory_budget: int,
    threads: int,
) -> None:
    """Write the scores of all concepts and the heat maps of their representative units.

    The arrays are `score` (concepts, images), `representative` (concepts, models), and
    `maps/{model}/{layer}`, by number: heat maps (units, images, h, w) of the layer's representative
    units, in ascending order.

    Args:
        store: path of the store.
        rosetta: table of Rosetta neurons.
        units: by model its table of units, the pivot's first.
        maps: by model its activation maps.
        memory_budget: bytes of maps in memory at once.
        threads: number of CPU threads.
    """
    pivot, *encoders = units
    count = maps[pivot].images
    numbers = {model: rosetta.loc[rosetta["model"] == model, "unit"] for model in encoders}
    numbers[pivot] = rosetta["pivot_unit"]
    chosen = {model: UnitPositions(maps[model], units[model], numbers[model]) for model in units}
    concepts = [members for _, members in rosetta.groupby("concept")]
    by_concept = [representative_units(members, pivot=pivot) for members in concepts]
    representative = np.array([[one[model] for model in units] for one in by_concept], np.int32)
    representative = representative.reshape(-1, len(units))
    blocks = [pair_blocks(members, chosen, pivot=pivot) for members in concepts]
    scores = np.zeros((len(concepts), count), np.float32)
    bytes_per_image = sum(positions.bytes_per_image() for positions in chosen.values())
    batch_size = fit_batch_size(bytes_per_image, memory_budget=memory_budget)
    with (
        new_store(store) as group,
        TorchThreadPool(threads) as workers,
        Progress("examples of concepts", total=count) as progress,
    ):
        group.attrs["models"] = list(units)
        arrays = _create_arrays(group, representative, chosen, count)
        for images in maps[pivot].iter_batches(batch_size):
            batch: dict[str, dict[int, Tensor]] = {}
            for model, positions in chosen.items():
                positions.maps.load(images, workers)
                batch[model] = positions.read(images, workers)
            inside = slice(images.start, images.stop)

            def score(
                concept: int, batch: Mapping[str, Mapping[int, Tensor]] = batch
            ) -> NDArray[np.float64]:
                return concept_scores(blocks[concept], batch, pivot=pivot)

            for concept, values in enumerate(workers.map(score, range(len(concepts)))):
                scores[concept, inside] = values
            for (model, layer), (array, rows) in arrays.items():
                heat_maps = quantise(downsample(batch[model][layer][:, rows]))  # (n, units, h, w)
                array[:, inside] = heat_maps.transpose(0, 1).numpy()
            progress.advance(len(images))
        _write(group, "score", scores)
        _write(group, "representative", representative)


def _write(group: zarr.Group, name: str, values: NDArray) -> None:
    """Write an array, which may be empty."""
    shape = values.shape
    shard = tuple(max(1, side) for side in shape)
    array = create_array(group, name, shape=shape, shard=shard, dtype=values.dtype.name)
    array[...] = values


def pair_blocks(
    members: pd.DataFrame, chosen: Mapping[str, UnitPositions], *, pivot: str
) -> list[PairBlock]:
    """Group the best-buddy pairs of a concept by encoder and layers."""
    by_layers: dict[tuple[str, int, int], list[tuple[int, int]]] = {}
    for row in members.itertuples():
        pivot_layer, pivot_position = chosen[pivot].locate(row.pivot_unit)
        encoder_layer, position = chosen[row.model].locate(row.unit)
        key = (row.model, pivot_layer, encoder_layer)
        by_layers.setdefault(key, []).append((pivot_position, position))
    blocks = []
    for key, pairs in by_layers.items():
        pivot_positions, positions = (sorted(set(side)) for side in zip(*pairs, strict=True))
        matrix = np.zeros((len(pivot_positions), len(positions)), np.float32)
        for pivot_position, position in pairs:
            matrix[pivot_positions.index(pivot_position), positions.index(position)] = 1
        blocks.append(PairBlock(*key, pivot_positions, positions, matrix))
    return blocks


def _create_arrays(
    group: zarr.Group,
    representative: NDArray[np.int32],
    chosen: Mapping[str, UnitPositions],
    images: int,
) -> dict[tuple[str, int], tuple[zarr.Array, list[int]]]:
    """Create the arrays of heat maps.

    Returns:
        By model and layer the array, and the positions of its units among the chosen ones.
    """
    arrays = {}
    for number, (model, positions) in enumerate(chosen.items()):
        by_layer: dict[int, list[int]] = {}
        for unit in sorted(set(representative[:, number].tolist())):
            layer, position = positions.locate(unit)
            by_layer.setdefault(layer, []).append(position)
        for layer, rows in by_layer.items():
            grid = [min(side, LARGEST_SIDE) for side in positions.maps.layers[layer].grid]
            array = group.create_array(
                f"maps/{number}/{layer}",
                shape=(len(rows), images, *grid),
                dtype="uint8",
                chunks=(1, min(MAX_BATCH_IMAGES, images), *grid),
                compressors=[ZSTD, Crc32cCodec()],
                config={"write_empty_chunks": True},
            )
            arrays[model, layer] = (array, rows)
    return arrays
