"""Null models, p-values, false discovery rates, split-half replication and confidence intervals."""
