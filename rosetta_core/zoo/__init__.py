"""The zoo: what a model is, one module a family, weights, layers and hooks."""
