"""Steering a generator through its units: inversion, activation maximisation, edits and tuning."""
