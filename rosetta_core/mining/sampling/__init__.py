"""Samples: images drawn by a generator or read from a folder, and their stores."""
