"""Products of units: one matrix product, as exact as float32 wherever it runs.

multiply     on a CPU in float32, on a GPU by tensor cores
halves       a matrix as two in float16 that add up to it
"""

import torch
from torch import Tensor

__all__ = ["halves", "multiply", "multiply_split"]

SHIFT = 11  # bits of mantissa that a float16 holds


def multiply(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ secondᵀ (r, c) in float32, of float32 matrices (r, k) and (c, k)."""
    if first.device.type == "cuda":
        return multiply_split(first, second)
    return first @ second.T


def halves(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a float32 matrix (r, k) into float16 `high` and `low`, and a scale (r,).

    matrix = scale · (high + 2⁻¹¹ low) to 22 bits of each row's largest value. The scale is a power
    of two: it keeps rows of any size in the range of float16.
    """
    largest = matrix.abs().amax(dim=1) if matrix.shape[1] else matrix.new_zeros(len(matrix))
    scale = torch.exp2(torch.frexp(largest).exponent.float())  # (r,)
    ones = matrix / scale[:, None]  # within -1..1
    high = ones.half()
    low = ((ones - high.float()) * 2.0**SHIFT).half()
    return high, low, scale


def multiply_split(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ secondᵀ by three products of float16 with float32 sums.

    high·high + 2⁻¹¹ (high·low + low·high); what is left out is below float32's own rounding.
    """
    a, a_low, a_scale = halves(first)
    b, b_low, b_scale = halves(second)
    mixed = _product(a, b_low) + _product(a_low, b)
    return (_product(a, b) + mixed * 2.0**-SHIFT) * torch.outer(a_scale, b_scale)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """A product of float16 matrices with float32 sums and result."""
    if first.device.type == "cuda":
        return torch.mm(first, second.T, out_dtype=torch.float32)
    return first.float() @ second.float().T  # the same values: float16 is exact in float32
