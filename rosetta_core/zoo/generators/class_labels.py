"""Classes as generators take them.

class_rows    classes as rows that are one at the class
"""

from torch import Tensor
from torch.nn import functional

from rosetta_core.errors import RosettaError

__all__ = ["class_rows"]


def class_rows(classes: Tensor | None, count: int, *, like: Tensor) -> Tensor:
    """Return rows (n, count) that are one at the class and zero elsewhere.

    Args:
        classes: (n,) integers; or rows (n, count), which may be mixtures and stay as they are.
        count: of the generator's classes.
        like: has the type and the device of the rows.

    Raises:
        RosettaError: for no classes, and for one that the generator does not have.
    """
    if classes is None:
        raise RosettaError(f"the generator draws {count} classes; say of which")
    if classes.ndim == 2:
        return classes.to(like)
    if not classes.is_meta:  # on CUDA, PyTorch does not check them in a way that can be caught
        wrong = classes[(classes < 0) | (classes >= count)]
        if len(wrong):
            raise RosettaError(f"the generator draws classes 0 to {count - 1}, not {int(wrong[0])}")
    return functional.one_hot(classes, count).to(like)
