"""Activation sources: running networks, stores, arrays, and changed or combined sources."""
