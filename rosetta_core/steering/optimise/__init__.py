"""Optimisation of latents: objective, loss, Adam and checkpoints."""
