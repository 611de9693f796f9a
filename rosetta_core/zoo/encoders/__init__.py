"""Encoder families and image preprocessing."""
