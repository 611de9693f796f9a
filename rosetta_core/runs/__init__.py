"""A run on disk: paths, locks, plan, progress, costs, provenance, artifacts, and finished runs."""
