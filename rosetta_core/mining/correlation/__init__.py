"""Pearson correlations of activation maps of different sizes, without resizing them."""
