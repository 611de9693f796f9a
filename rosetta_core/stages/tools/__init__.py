"""Commands that are no stages: check, plan, fetch, figures, export, verification and comparison."""
