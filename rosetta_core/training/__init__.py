"""Encoders taught without labels: vision transformers trained on a pivot's samples or a folder."""
