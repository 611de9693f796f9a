"""Sections of the configuration: images, activations, correlations, neighbours, dictionary.

Descriptions are the comments of config.yaml and the tooltips of editors: *what it is (unit,
range)*, then the meaning of null or false, then the cost or trade-off.
"""

from typing import Literal

from pydantic import Field, NonNegativeInt

from rosetta_core.validation import BIT_DEPTH_DESCRIPTION, BitDepth, Folder, Section, Seed

__all__ = [
    "GPU_BATCH",
    "MIN_PARTNERS",
    "Activations",
    "Correlation",
    "Dictionary",
    "Neighbours",
    "Sampling",
]

GPU_BATCH = 16  # default images per forward pass on a GPU
MIN_PARTNERS = 32  # stored neighbours per unit without the matrix; a later run may raise K so far


class Sampling(Section):
    """Images of a run."""

    images: int = Field(
        512, description="number of images; the paper uses 1600", ge=1, le=10_000_000
    )
    seed: Seed = Field(
        0, description="random seed of the images; image i depends on this seed and i alone"
    )
    truncation: float = Field(
        1.0,
        description="truncation psi (above 0, up to 1): scales z or, in style-based generators, "
        "the distance of w from its mean; 1.0: no truncation",
        gt=0,
        le=1,
    )
    classes: list[NonNegativeInt] | None = Field(
        None,
        description="class indices from which a class-conditional generator samples; null: all "
        "classes",
        min_length=1,
    )
    folder: Folder | None = Field(
        None,
        description="folder of input images for an encoder pivot, read in path order; null: images "
        "come from the generator",
    )
    size: int = Field(
        256, description="side of the images of sampling.folder (pixels)", ge=8, le=4096
    )
    bit_depth: BitDepth = Field(None, description=BIT_DEPTH_DESCRIPTION)
    shard_size: int = Field(
        256,
        description="images per shard: one job and one store each; smaller shards parallelise more",
        ge=1,
        le=65_536,
    )
    source: str | None = Field(
        None,
        description="only in results that rosetta.mine saved: the folder or the kind of the images "
        "that it was given; null: they were drawn by the pivot",
    )


class Activations(Section):
    """Forward passes of the models, and storage of their activation maps."""

    batch_size: int | None = Field(
        None,
        description=f"images per forward pass; null: 1 on a CPU, {GPU_BATCH} on a GPU",
        ge=1,
    )
    min_relative_std: float = Field(
        0.01,
        description="units with std below this fraction of |mean| are dead and excluded",
        ge=0,
        lt=1,
    )
    store: Literal["zarr", "none"] = Field(
        "zarr",
        description="storage of activation maps: zarr (on disk, once) or none (no disk use; the "
        "networks run twice more for the examples, and neighbours may swap ranks if their "
        "correlations are closer than 1e-6)",
    )


class Correlation(Section):
    """Correlations of the pivot's units with those of each model."""

    keep_matrix: bool = Field(
        True,
        description="store the correlation of every pair of units; false: store only the "
        f"{MIN_PARTNERS} nearest neighbours per unit, or K if larger, which takes less disk space",
    )
    blocks: int = Field(
        1,
        description="number of jobs per model among which the pivot's units are divided; use more "
        "than 1 on a cluster",
        ge=1,
        le=4096,
    )


class Neighbours(Section):
    """Nearest neighbours and best buddies."""

    k: int = Field(5, description="K of the mutual nearest neighbours; the paper uses 5", ge=1)


class Dictionary(Section):
    """Pages of the dictionary."""

    examples: int = Field(
        8,
        description="images per concept and tab: best, random, score quartiles, disagreement (1 to "
        "64)",
        ge=1,
        le=64,
    )
    unit_examples: int = Field(3, description="example images per unit (1 to 64)", ge=1, le=64)
