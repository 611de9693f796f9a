"""The grids of activation maps.

Grid            height and width
common_grids    the grid two maps are enlarged to, and the grid their products are taken at
"""

__all__ = ["Grid", "common_grids"]

Grid = tuple[int, int]


def common_grids(first: Grid, second: Grid) -> tuple[Grid, Grid]:
    """Return (small, large): where products are taken, and where both maps are enlarged to.

    Per axis the smaller and the larger of the two sides; for square maps simply the two grids.
    """
    small = (min(first[0], second[0]), min(first[1], second[1]))
    large = (max(first[0], second[0]), max(first[1], second[1]))
    return small, large
