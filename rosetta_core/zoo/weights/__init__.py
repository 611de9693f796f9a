"""Weights: sources, downloads, verification, file formats and loading."""
