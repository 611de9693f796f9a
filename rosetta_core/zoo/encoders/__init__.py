"""Encoder families, and how images are preprocessed for them."""
