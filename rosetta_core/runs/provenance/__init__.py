"""Provenance of a run: its record, the digests of files and weights, and signatures."""
