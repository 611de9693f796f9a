"""Nearest neighbours, best buddies, Rosetta neurons and concepts."""
