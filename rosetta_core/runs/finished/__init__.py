"""Finished runs: tables, arrays, comparison and export of what a run wrote."""
