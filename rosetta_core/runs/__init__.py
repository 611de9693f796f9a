"""A run on disk: paths, artifacts, locks, costs, provenance; and finished runs, opened."""
