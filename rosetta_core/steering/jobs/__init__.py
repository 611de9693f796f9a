"""Steering jobs: inversion, activation maximisation, edits, pivotal tuning and evaluation."""
