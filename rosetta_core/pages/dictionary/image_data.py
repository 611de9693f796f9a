"""Data of the page of an image: its file, and the concepts on it, by maps of the pivot.

Every image of a run has a page. The number of concepts on a page falls with the number of images,
so that all pages together contain at most `MAX_MAPS` maps, or `MIN_CONCEPTS` an image: up to 512
images a page shows 120 concepts, with 1,600 images 38, from 5,120 images on 12.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from rosetta_core.mining.examples.stores import ConceptExamples
from rosetta_core.pages.data_files import pack, rounded

__all__ = ["concepts_per_page", "file_data", "image_data", "image_pages"]

MAX_CONCEPTS = 120  # on one page
MIN_CONCEPTS = 12
MAX_MAPS = 512 * MAX_CONCEPTS  # on all pages together
IMAGES_AT_ONCE = MAX_MAPS // MIN_CONCEPTS  # whose maps are in memory


def concepts_per_page(images: int) -> int:
    """Return the largest number of concepts on the page of one of that many images."""
    return min(MAX_CONCEPTS, max(MIN_CONCEPTS, MAX_MAPS // max(1, images)))


def image_pages(
    examples: ConceptExamples, *, pivot: str, origins: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of every image and the content of its page.

    The maps of a concept are read once for up to 5,120 images.

    Args:
        examples: scores and maps of the concepts on all images.
        pivot: name of the pivot.
        origins: by image the file it was read from, or "class 3"; empty if unknown.
    """
    images = examples.scores.shape[1]
    count = concepts_per_page(images)
    for first in range(0, images, IMAGES_AT_ONCE):
        block = range(first, min(first + IMAGES_AT_ONCE, images))
        concepts = {image: _strongest(examples.scores[:, image], count) for image in block}
        images_of: dict[int, list[int]] = {}
        for image, strongest in concepts.items():
            for concept in strongest:
                images_of.setdefault(concept, []).append(image)
        maps: dict[int, dict[int, NDArray[np.uint8]]] = {image: {} for image in block}
        for concept, shown in images_of.items():
            concept_maps = examples.maps(concept, pivot)  # (n, h, w)
            for image in shown:
                maps[image][concept] = concept_maps[image]
        for image in block:
            yield (
                image,
                image_data(
                    examples.scores[:, image],
                    maps[image],
                    concepts=concepts[image],
                    origin=origins[image] if origins else "",
                ),
            )


def file_data(origins: Sequence[str], folder: str, *, originals: Path | None) -> dict[str, Any]:
    """Return the content of `data/files.js`: names of image files, and the address of their folder.

    Args:
        origins: by image the path of its file.
        folder: folder of the files; names are relative to it.
        originals: the folder relative to the pages; None: the files are not linked.
    """
    paths = [PurePosixPath(origin) for origin in origins]
    return {
        "names": [
            str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in paths
        ],
        "address": originals and quote(originals.as_posix()),
    }


def _strongest(scores: NDArray[np.float32], count: int) -> list[int]:
    """The concepts with the highest scores (concepts,) on an image, ties by number."""
    return np.argsort(-scores, kind="stable")[:count].tolist()


def image_data(
    scores: NDArray[np.float32],
    maps: Mapping[int, NDArray[np.uint8]],
    *,
    concepts: Sequence[int],
    origin: str = "",
) -> dict[str, Any]:
    """Return the content of `data/images/{image}.js`.

    Args:
        scores: score of every concept on the image (concepts,).
        maps: by concept the map (h, w) of the pivot's representative unit.
        concepts: the concepts to show, strongest first.
        origin: file that the image was read from, or "class 3"; empty if unknown.
    """
    return {
        "origin": origin,
        "concepts": list(concepts),
        "scores": rounded(scores[list(concepts)]),
        "sizes": [list(maps[concept].shape) for concept in concepts],
        "maps": pack(maps[concept] for concept in concepts),
    }
