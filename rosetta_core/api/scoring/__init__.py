"""Scores of concepts and units on new images."""
