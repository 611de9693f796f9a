"""Exact Pearson correlations of every unit of the pivot with every unit of other models.

For maps f of a pivot unit and g of another unit, both resized to the larger grid with m positions,
over n images, N = n·m:

    corr(f, g) = (<Uf, Ug> / N − mean·mean) / (std·std)                  Pearson, pooled

No map is ever resized (see `resize`): <Uf, Ug> is computed at the smaller grid, after the larger
map is reduced with Uᵀ, so that a pair of layers takes one matrix product; means and norms come from
Uᵀ1 and UᵀU (see `resized_moments`). Maps with large means are centred before they are multiplied in
float32 (see `moments.centring_shift`), and sums are pooled in float64. The division of images and
units, and the kind of source, change a correlation by less than 1e-6. Subsets of the images are
centred with the moments of all images, so theirs can change by 1e-5, and a unit that hardly varies
within a subset counts as constant there.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.accumulator import CorrelationAccumulator
from rosetta_core.mining.correlation.channel_blocks import (
    CorrelationBlock,
    pack_blocks,
    split_layers,
)
from rosetta_core.mining.correlation.image_subsets import ImageSubsets, all_images
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool

__all__ = ["correlate", "correlate_blocks"]

CPU = torch.device("cpu")


def correlate(
    pivot: ActivationSource,
    model: ActivationSource,
    *,
    memory_budget: int = 2**31,
    device: torch.device = CPU,
) -> NDArray[np.float32]:
    """Return the correlations of all units of two models.

    Args:
        pivot: activation source of the rows.
        model: activation source of the columns, over the same images.
        memory_budget: bytes of working memory.
        device: device of the computation.

    Returns:
        The correlations (units of the pivot, units of the model); NaN where a unit is constant.

    Raises:
        RosettaError: see `correlate_blocks`.
    """
    blocks = correlate_blocks(pivot, [model], memory_budget=memory_budget, device=device)
    return np.concatenate([block.corr for block in blocks], axis=1)


@torch.no_grad()
def correlate_blocks(
    pivot: ActivationSource,
    models: Sequence[ActivationSource],
    *,
    memory_budget: int,
    device: torch.device,
    threads: int = 1,
    rows: range | None = None,
    subsets: ImageSubsets | None = None,
) -> Iterator[CorrelationBlock]:
    """Yield the correlations of the pivot's units with those of several models, column by column.

    The maps of each model are read once. The pivot's maps are read once for all models, and once
    more for each further block of columns if the budget does not fit the sums of all columns.

    Args:
        pivot: activation source of the rows.
        models: activation sources of the columns, over the same images; the pivot may be among
            them.
        memory_budget: bytes of working memory, divided between sums and maps; on a GPU, of its
            memory and of the host's.
        device: device of the computation.
        threads: number of CPU threads.
        rows: units of the pivot; None for all.
        subsets: subsets of the images to correlate as well, in the same pass.

    Yields:
        Blocks of columns, those of each model in order; each block over all images is followed by
        the same columns over each subset.

    Raises:
        RosettaError: the models have different numbers of images, or a map contains NaN or
            infinity.
    """
    for model in models:
        if pivot.images != model.images:
            raise RosettaError(
                f"{pivot.name} has maps of {pivot.images} images and {model.name} of "
                f"{model.images}; rerun the activations of the model with fewer images"
            )
    subsets = all_images(pivot.images) if subsets is None else subsets
    row_blocks = split_layers(pivot.layers, units=rows)
    units = sum(len(block.units) for block in row_blocks)
    max_units = max(1, memory_budget // 4 // (8 * units * subsets.groups))
    columns = [
        block
        for number, model in enumerate(models)
        for block in split_layers(model.layers, model=number, max_channels=max_units)
    ]
    passes = list(pack_blocks(columns, max_units))
    title = f"{pivot.name} × {', '.join(model.name for model in models)}"
    total = pivot.images * len(passes)
    with TorchThreadPool(threads) as workers, Progress(title, total=total) as progress:
        for blocks in passes:
            accumulator = CorrelationAccumulator(
                pivot,
                models,
                rows=row_blocks,
                columns=blocks,
                device=device,
                memory_budget=memory_budget * 3 // 4,
                workers=workers,
                groups=subsets.groups,
            )
            for images in pivot.iter_batches(accumulator.batch_size()):
                for group, inside in subsets.split_by_group(images):
                    accumulator.add(inside, group=group)
                progress.advance(len(images))
            for number in dict.fromkeys(block.model for block in blocks):
                yield CorrelationBlock(number, *accumulator.correlations(number))
                for subset, groups in enumerate(subsets.members):
                    yield CorrelationBlock(
                        number, *accumulator.correlations(number, groups), subset
                    )
