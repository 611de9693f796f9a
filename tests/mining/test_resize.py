"""U is bilinear resizing, Uᵀ its adjoint, and UᵀU the norm."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rosetta_core.mining.correlation.resize import (
    MAX_DENSE_POSITIONS,
    apply_adjoint,
    bilinear_matrix,
    gram_matrix,
)
from rosetta_core.mining.correlation.resized_moments import resized_sums
from rosetta_core.zoo.layers import common_grids

sides = st.integers(1, 40)


@given(source=sides, target=sides)
def test_bilinear_is_torchs_interpolation(source: int, target: int) -> None:
    row = torch.rand(1, 1, source, dtype=torch.float64)
    expected = torch.nn.functional.interpolate(row, size=target, mode="linear", align_corners=False)
    torch.testing.assert_close(bilinear_matrix(source, target) @ row[0, 0], expected[0, 0])


@given(small=sides, extra=st.integers(0, 60))
def test_enlarging_keeps_constants_and_couples_neighbours_only(small: int, extra: int) -> None:
    U, K = bilinear_matrix(small, small + extra), gram_matrix(small, small + extra)
    torch.testing.assert_close(U.sum(1), torch.ones(small + extra, dtype=torch.float64))
    distance = (torch.arange(small)[:, None] - torch.arange(small)).abs()
    assert K[distance > 1].abs().sum() == 0


@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_products_at_the_small_grid_are_those_at_the_large(first, second) -> None:
    small, large = common_grids(first, second)
    f, g = (torch.rand(2, 3, *grid, dtype=torch.float64) for grid in (first, second))
    up = [
        torch.nn.functional.interpolate(x, size=large, mode="bilinear", align_corners=False)
        for x in (f, g)
    ]
    direct = (up[0] * up[1]).sum(dim=(2, 3))
    reduced = (apply_adjoint(f, [small])[small] * apply_adjoint(g, [small])[small]).sum(dim=(2, 3))
    torch.testing.assert_close(reduced, direct)


@pytest.mark.parametrize("grids", [[(4, 4), (9, 7), (3, 12)], [(9, 12)], [(1, 1), (9, 1), (1, 12)]])
@pytest.mark.parametrize("scale", [1, 2])  # small maps and large ones go different ways
def test_several_grids_at_once_are_each_alone(grids, scale: int) -> None:
    grids = [(h * scale, w * scale) for h, w in grids]
    maps = torch.rand(3, 2, 9 * scale, 12 * scale, dtype=torch.float64)
    assert (9 * 12 * scale**2 > MAX_DENSE_POSITIONS) == (scale > 1)
    together = apply_adjoint(maps, grids)
    for h, w in grids:
        expected = bilinear_matrix(h, 9 * scale).T @ maps @ bilinear_matrix(w, 12 * scale)
        torch.testing.assert_close(together[h, w], expected)


@pytest.mark.parametrize("larges", [[(3, 5)], [(4, 5)], [(9, 20), (3, 5), (3, 64)]])
def test_sums_of_enlarged_maps_are_those_of_interpolated_ones(larges) -> None:
    maps = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1)) + 0.5
    found = resized_sums(maps, larges)
    assert found.keys() == set(larges)
    for large, (total, squares) in found.items():
        enlarged = torch.nn.functional.interpolate(maps.double(), large, mode="bilinear")
        torch.testing.assert_close(total.double(), enlarged.sum((2, 3)), rtol=1e-5, atol=1e-4)
        norms = enlarged.square().sum((2, 3))
        torch.testing.assert_close(squares.double(), norms, rtol=1e-5, atol=0)
