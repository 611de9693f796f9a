"""Handles on the generator: inversion, edits, and what they reach."""
