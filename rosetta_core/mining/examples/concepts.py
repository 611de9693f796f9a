"""The concepts on every image: how strongly they show, and the maps of their representative units.

write_concept_examples     one pass over the maps of all models, into a store
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import Crc32cCodec

from rosetta_core.io.zarr_store import ZSTD, create_array, new_store
from rosetta_core.mining.examples.concept_score import PairBlock, concept_scores
from rosetta_core.mining.examples.standardised import LARGEST_SIDE, downsample, quantise
from rosetta_core.mining.matching.concepts import representative_units
from rosetta_core.mining.sources.base import MAX_BATCH_IMAGES, ActivationSource, fit_batch_size
from rosetta_core.mining.sources.subset import UnitPositions
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool

__all__ = ["write_concept_examples"]


def write_concept_examples(
    store: Path,
    rosetta: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    maps: Mapping[str, ActivationSource],
    memory_budget: int,
    threads: int,
) -> None:
    """Write the arrays `scores` and `representative`, and `maps/{model}/{layer}` by their numbers.

    The last hold the maps (units, images, h, w) of the layer's representative units, in ascending order.

    Args:
        store: where to.
        rosetta: the table of Rosetta neurons.
        units: by model its table of units; the pivot's first.
        maps: by model its maps.
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.
    """
    pivot, *encoders = units
    count = maps[pivot].images
    numbers = {model: rosetta.loc[rosetta["model"] == model, "unit"] for model in encoders}
    numbers[pivot] = rosetta["pivot_unit"]
    chosen = {model: UnitPositions(maps[model], units[model], numbers[model]) for model in units}
    concepts = [members for _, members in rosetta.groupby("concept")]
    found = [representative_units(members, pivot=pivot) for members in concepts]
    representative = np.array([[one[model] for model in units] for one in found], np.int32)
    representative = representative.reshape(-1, len(units))
    blocks = [_pair_blocks(members, chosen, pivot=pivot) for members in concepts]
    result = np.zeros((len(concepts), count), np.float32)
    held = sum(one.bytes_per_image() for one in chosen.values())
    largest = fit_batch_size(held, memory_budget=memory_budget)
    with (
        new_store(store) as group,
        TorchThreadPool(threads) as workers,
        Progress("concepts' examples", total=count) as bar,
    ):
        group.attrs["models"] = list(units)
        arrays = _create_arrays(group, representative, chosen, count)
        for images in maps[pivot].iter_batches(largest):
            read: dict[str, dict[int, Tensor]] = {}
            for model, units_of in chosen.items():
                units_of.maps.load(images, workers)
                read[model] = units_of.read(images, workers)
            inside = slice(images.start, images.stop)

            def look(
                concept: int, read: Mapping[str, Mapping[int, Tensor]] = read
            ) -> NDArray[np.float64]:
                return concept_scores(blocks[concept], read, pivot=pivot)

            for concept, values in enumerate(workers.map(look, range(len(concepts)))):
                result[concept, inside] = values
            for (model, layer), (array, places) in arrays.items():
                shown = quantise(downsample(read[model][layer][:, places]))  # (n, few, h, w)
                array[:, inside] = shown.transpose(0, 1).numpy()
            bar.advance(len(images))
        _write(group, "score", result)
        _write(group, "representative", representative)


def _write(group: zarr.Group, name: str, values: NDArray) -> None:
    """Write an array, which may be empty."""
    shape = values.shape
    shard = tuple(max(1, side) for side in shape)
    array = create_array(group, name, shape=shape, shard=shard, dtype=values.dtype.name)
    array[...] = values


def _pair_blocks(
    members: pd.DataFrame, chosen: Mapping[str, UnitPositions], *, pivot: str
) -> list[PairBlock]:
    """A concept's pairs, by encoder and layers."""
    found: dict[tuple[str, int, int], list[tuple[int, int]]] = {}
    for row in members.itertuples():
        own, own_place = chosen[pivot].locate(row.pivot_unit)
        other, place = chosen[row.model].locate(row.unit)
        found.setdefault((row.model, own, other), []).append((own_place, place))
    blocks = []
    for (encoder, own, other), pairs in found.items():
        own_places, places = (sorted(set(side)) for side in zip(*pairs, strict=True))
        which = np.zeros((len(own_places), len(places)), np.float32)
        for own_place, place in pairs:
            which[own_places.index(own_place), places.index(place)] = 1
        blocks.append(PairBlock(encoder, own, other, own_places, places, which))
    return blocks


def _create_arrays(
    group: zarr.Group,
    representative: NDArray[np.int32],
    chosen: Mapping[str, UnitPositions],
    images: int,
) -> dict[tuple[str, int], tuple[zarr.Array, list[int]]]:
    """By model and layer an array for the representative units' maps, and their places among the read."""
    arrays = {}
    for number, (model, units) in enumerate(chosen.items()):
        by_layer: dict[int, list[int]] = {}
        for unit in sorted(set(representative[:, number].tolist())):
            layer, place = units.locate(unit)
            by_layer.setdefault(layer, []).append(place)
        for layer, places in by_layer.items():
            grid = [min(side, LARGEST_SIDE) for side in units.maps.layers[layer].grid]
            array = group.create_array(
                f"maps/{number}/{layer}",
                shape=(len(places), images, *grid),
                dtype="uint8",
                chunks=(1, min(MAX_BATCH_IMAGES, images), *grid),
                compressors=[ZSTD, Crc32cCodec()],
                config={"write_empty_chunks": True},
            )
            arrays[model, layer] = (array, places)
    return arrays
