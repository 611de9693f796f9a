"""A pickle reader that executes nothing."""
