"""Steering in memory: inversion, activation maximisation, edits and tuning."""
