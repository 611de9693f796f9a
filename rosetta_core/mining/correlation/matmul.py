"""Matrix products with the accuracy of float32 on every device.

A CPU multiplies in float32. A GPU uses tensor cores: each float32 matrix is split into two float16
matrices, and three products of these with float32 sums give the result (the scheme of Ootomo and
Yokota, 2022, doi:10.1177/10943420221090256).
"""

import torch
from torch import Tensor

__all__ = ["matmul_split_fp16", "matmul_transposed", "split_fp16"]

MANTISSA_BITS = 11  # significant bits of float16, the implicit one included


def matmul_transposed(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ secondᵀ in float32.

    Args:
        first: float32 matrix (r, k).
        second: float32 matrix (c, k).

    Returns:
        The product (r, c).
    """
    if first.device.type == "cuda":
        return matmul_split_fp16(first, second)
    return first @ second.T


def split_fp16(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a float32 matrix into two float16 matrices and a scale per row.

    matrix = scale · (high + 2⁻¹¹ low), to 22 bits of each row's largest absolute value. The scale
    is a power of two; it keeps rows of any magnitude in the range of float16.

    Args:
        matrix: float32 matrix (r, k).

    Returns:
        `high` (r, k) and `low` (r, k) in float16, and `scale` (r,) in float32.
    """
    largest = matrix.abs().amax(dim=1) if matrix.shape[1] else matrix.new_zeros(len(matrix))
    scale = torch.exp2(torch.frexp(largest).exponent.float())  # (r,)
    scaled = matrix / scale[:, None]  # between -1 and 1
    high = scaled.half()
    low = ((scaled - high.float()) * 2.0**MANTISSA_BITS).half()
    return high, low, scale


def matmul_split_fp16(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ secondᵀ by three float16 products with float32 sums.

    The sum is high·high + 2⁻¹¹ (high·low + low·high); the omitted low·low is below the rounding of
    float32.

    Args:
        first: float32 matrix (r, k).
        second: float32 matrix (c, k).

    Returns:
        The product (r, c) in float32.
    """
    a, a_low, a_scale = split_fp16(first)
    b, b_low, b_scale = split_fp16(second)
    mixed = _product(a, b_low) + _product(a_low, b)
    return (_product(a, b) + mixed * 2.0**-MANTISSA_BITS) * torch.outer(a_scale, b_scale)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ secondᵀ of float16 matrices, with float32 sums and result."""
    if first.device.type == "cuda":
        return torch.mm(first, second.T, out_dtype=torch.float32)
    return first.float() @ second.float().T  # the same values: float16 is exact in float32
