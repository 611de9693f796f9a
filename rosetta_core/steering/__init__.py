"""Steering of a generator: inversion, activation maximisation, edits, tuning and evaluation."""
