"""Samples: images that a generator draws or that a folder contains, and their stores."""
