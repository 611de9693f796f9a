"""The zoo: models, their weights and layers."""
