"""Sets of images that are correlated beside all of them, in the same pass.

Subsets      images in consecutive groups, whose sums add up to those of any set of groups
everything   one group, no subset
halves       several splits of the images into two disjoint halves
firsts       the first images, ever more of them, and the two halves of each

Groups are of consecutive images, so that the frames of one film fall into one half.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count, pairwise
from math import comb

import numpy as np

__all__ = ["Subsets", "everything", "firsts", "halves"]


@dataclass(frozen=True)
class Subsets:
    """Images in consecutive groups, and sets of these groups.

    Attributes:
        ends: of the groups, ascending; the last is the number of images.
        members: by subset the numbers of its groups.
    """

    ends: Sequence[int]
    members: Sequence[Sequence[int]] = ()

    def __len__(self) -> int:
        return len(self.members)

    @property
    def groups(self) -> int:
        """How many there are."""
        return len(self.ends)

    def images(self, subset: int) -> int:
        """How many images a subset has."""
        sizes = [last - first for first, last in pairwise([0, *self.ends])]
        return sum(sizes[group] for group in self.members[subset])

    def pieces(self, images: range) -> Iterator[tuple[int, range]]:
        """Cut consecutive images where groups end; yield each part's group, and the part."""
        for group, (first, last) in enumerate(pairwise([0, *self.ends])):
            inside = range(max(first, images.start), min(last, images.stop))
            if inside:
                yield group, inside


def everything(images: int) -> Subsets:
    """Return one group of all images, and no subset."""
    return Subsets([images])


def _groups_for(splits: int) -> int:
    """The least even number of groups that can be split into halves in so many ways."""
    return next(g for g in count(2, step=2) if comb(g - 1, g // 2 - 1) >= splits)


def halves(images: int, *, splits: int) -> Subsets:
    """Return the halves of several splits: subsets 2·i and 2·i + 1 are those of split i.

    One split takes two groups, up to 3 take four, up to 10 six and up to 35 eight, so that the sums
    of few groups hold all halves. The first group is always in the first half.

    Args:
        images: how many there are, two or more for each group.
        splits: how many; none gives no subset.
    """
    if not splits:
        return everything(images)
    groups = _groups_for(splits)
    ends = [images * (group + 1) // groups for group in range(groups)]
    ways = [(0, *others) for others in combinations(range(1, groups), groups // 2 - 1)]
    chosen = sorted(np.random.default_rng(0).permutation(len(ways))[:splits].tolist())
    members = []
    for way in (ways[number] for number in chosen):
        members += [way, tuple(group for group in range(groups) if group not in way)]
    return Subsets(ends, members)


def firsts(counts: Sequence[int]) -> Subsets:
    """Return subsets 3·i, 3·i + 1 and 3·i + 2: the first counts[i] images, and their two halves.

    Args:
        counts: ascending; the last is the number of images.
    """
    ends = sorted({*counts, *(number // 2 for number in counts)})
    members = []
    for number in counts:
        middle, last = ends.index(number // 2) + 1, ends.index(number) + 1
        members += [range(last), range(middle), range(middle, last)]
    return Subsets(ends, members)
