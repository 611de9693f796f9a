"""The pages of a run's dictionary."""
