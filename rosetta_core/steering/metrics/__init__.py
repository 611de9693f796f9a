"""Metrics of steering results: similarity, perceptual distance, registration and intervals."""
