"""Pearson correlation of activation maps on different grids, without resizing them."""
