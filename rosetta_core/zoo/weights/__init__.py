"""Weights: where they come from, fetching, verification and loading."""
