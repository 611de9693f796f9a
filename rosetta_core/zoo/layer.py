"""What is mined.

Layer    a module whose output channels are units
"""

from dataclasses import dataclass

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """A module whose output channels are units.

    Attributes:
        name: the module's dotted name.
        channels: number of units.
        height: of an activation map.
        width: of an activation map.
        margin: rows and columns on each side that the module puts out beyond the image, and that
            are cut off.
    """

    name: str
    channels: int
    height: int
    width: int
    margin: int = 0

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of an activation map."""
        return self.height, self.width

    @property
    def size(self) -> int:
        """Activations per image."""
        return self.channels * self.height * self.width
