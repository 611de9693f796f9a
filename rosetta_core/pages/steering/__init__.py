"""The page of a run's steering jobs: what was inverted, shown, edited, tuned and evaluated."""
