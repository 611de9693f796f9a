"""Activation sources: live networks, stores, arrays, subsets and permutations."""
