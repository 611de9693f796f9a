"""Correlations of every unit of the pivot with every unit of other models, exactly.

correlate            the whole matrix for one model
correlate_blocks     the same for several, in one pass over the pivot, within a memory budget

For maps f of a pivot unit and g of another, both enlarged to the larger grid with m positions,
over n images, N = n·m:

    corr(f, g) = (<Uf, Ug> / N − mean·mean) / (std·std)                  Pearson, pooled

No map is ever enlarged (see `resize`): <Uf, Ug> is taken at the smaller grid after the larger map
was reduced with Uᵀ, so that a pair of layers costs one matrix product; means and norms come from
Uᵀ1 and UᵀU (`enlarged`). Maps with large means are centred before they are multiplied in float32
(see `moments.centre`), and sums are pooled in float64. How images and units are split, and where
maps come from, changes a correlation by less than 1e-6. Subsets of the images are centred by all of
them, so theirs may change by 1e-5, and a unit that hardly varies in one is constant there.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.accumulator import CorrelationAccumulator
from rosetta_core.mining.correlation.block import Block
from rosetta_core.mining.correlation.channel_blocks import pack_blocks, parts
from rosetta_core.mining.correlation.image_subsets import Subsets, everything
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.workers import Workers

__all__ = ["correlate", "correlate_blocks"]

CPU = torch.device("cpu")


def correlate(
    pivot: ActivationSource,
    model: ActivationSource,
    *,
    memory_budget: int = 2**31,
    device: torch.device = CPU,
) -> NDArray[np.float32]:
    """Return the correlations (units of pivot, units of model); NaN where a unit is constant."""
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
    subsets: Subsets | None = None,
) -> Iterator[Block]:
    """Yield the correlations of the pivot's units with the models', by blocks of columns.

    The pivot's maps are read once for all models, and once more for every time that the budget is
    too small for the sums of all columns; a model's maps are read once.

    Args:
        pivot: the maps whose units are the rows.
        models: the maps whose units are the columns; the pivot may be among them.
        memory_budget: bytes of working memory, split between sums and maps; on a GPU of the card's
            and of the host's.
        device: where to compute.
        threads: how many of the CPU.
        rows: which units of the pivot; all unless given.
        subsets: of the images, whose correlations are wanted too: they come out of the same pass.

    Raises:
        RosettaError: the models have maps of different numbers of images, or a map holds NaN or
            infinity.
    """
    for model in models:
        if pivot.images != model.images:
            raise RosettaError(
                f"{pivot.name} has maps of {pivot.images} images and {model.name} of "
                f"{model.images}; rerun the activations of the smaller"
            )
    subsets = everything(pivot.images) if subsets is None else subsets
    row_parts = parts(pivot.layers, units=rows)
    units = sum(len(part.units) for part in row_parts)
    most = max(1, memory_budget // 4 // (8 * units * subsets.groups))
    columns = [part for i, m in enumerate(models) for part in parts(m.layers, model=i, most=most)]
    blocks = list(pack_blocks(columns, most))
    title = f"{pivot.name} × {', '.join(model.name for model in models)}"
    total = pivot.images * len(blocks)
    with Workers(threads) as workers, Progress(title, total=total) as progress:
        for block in blocks:
            pooling = CorrelationAccumulator(
                pivot,
                models,
                rows=row_parts,
                columns=block,
                device=device,
                memory_budget=memory_budget * 3 // 4,
                workers=workers,
                groups=subsets.groups,
            )
            for images in pivot.pieces(pooling.images_at_once()):
                for group, inside in subsets.pieces(images):
                    pooling.add(inside, group=group)
                progress.advance(len(images))
            for number in dict.fromkeys(part.model for part in block):
                yield Block(number, *pooling.correlations(number))
                for subset, groups in enumerate(subsets.members):
                    yield Block(number, *pooling.correlations(number, groups), subset)
