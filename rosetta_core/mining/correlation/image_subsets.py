"""Subsets of the images that are correlated in the same pass as all images.

Images are divided into consecutive groups, and a subset is a union of groups, so that the sums of
few groups give the correlations of many subsets. Consecutive groups keep the frames of a film in
one half.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count, pairwise
from math import comb

import numpy as np

__all__ = ["ImageSubsets", "all_images", "growing_subsets", "split_half_subsets"]


@dataclass(frozen=True)
class ImageSubsets:
    """Consecutive groups of images, and subsets that are unions of groups.

    Attributes:
        ends: end of each group, ascending; the last is the number of images.
        members: numbers of the groups of each subset.
    """

    ends: Sequence[int]
    members: Sequence[Sequence[int]] = ()

    def __len__(self) -> int:
        return len(self.members)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.ends)

    def images(self, subset: int) -> int:
        """Return the number of images of a subset."""
        sizes = [last - first for first, last in pairwise([0, *self.ends])]
        return sum(sizes[group] for group in self.members[subset])

    def split_by_group(self, images: range) -> Iterator[tuple[int, range]]:
        """Yield the group and the images of each part of a range that lies within one group."""
        for group, (first, last) in enumerate(pairwise([0, *self.ends])):
            inside = range(max(first, images.start), min(last, images.stop))
            if inside:
                yield group, inside


def all_images(images: int) -> ImageSubsets:
    """Return one group of all images, and no subset."""
    return ImageSubsets([images])


def split_half_subsets(images: int, *, splits: int) -> ImageSubsets:
    """Return the two halves of each of several splits of the images.

    One split takes two groups, up to 3 splits four, up to 10 six, and up to 35 eight. The first
    group is always in the first half.

    Args:
        images: number of images, at least two for each group.
        splits: number of splits; 0 for no subset.

    Returns:
        Subsets 2·i and 2·i + 1: the halves of split i.
    """
    if not splits:
        return all_images(images)
    groups = _groups_for(splits)
    ends = [images * (group + 1) // groups for group in range(groups)]
    first_halves = [(0, *others) for others in combinations(range(1, groups), groups // 2 - 1)]
    chosen = sorted(np.random.default_rng(0).permutation(len(first_halves))[:splits].tolist())
    members = []
    for half in (first_halves[number] for number in chosen):
        members += [half, tuple(group for group in range(groups) if group not in half)]
    return ImageSubsets(ends, members)


def _groups_for(splits: int) -> int:
    """Return the smallest even number of groups with at least `splits` splits into halves."""
    return next(g for g in count(2, step=2) if comb(g - 1, g // 2 - 1) >= splits)


def growing_subsets(counts: Sequence[int]) -> ImageSubsets:
    """Return subsets of the first images, of growing size, and the two halves of each.

    Args:
        counts: sizes, ascending; the last is the number of images.

    Returns:
        Subsets 3·i, 3·i + 1 and 3·i + 2: the first counts[i] images, and their two halves.
    """
    ends = sorted({*counts, *(number // 2 for number in counts)})
    members = []
    for number in counts:
        middle, last = ends.index(number // 2) + 1, ends.index(number) + 1
        members += [range(last), range(middle), range(middle, last)]
    return ImageSubsets(ends, members)
