"""Images for mining in memory: drawn by a generator, or read from where they are."""

from rosetta_core.api.images.drawn import sample
from rosetta_core.api.images.image_set import ImageSet
from rosetta_core.api.images.sources import images

__all__ = ["ImageSet", "images", "sample"]
