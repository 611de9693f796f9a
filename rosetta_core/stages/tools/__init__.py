"""Commands beside the stages: check, plan, fetch, figures, export, verification, comparison."""
