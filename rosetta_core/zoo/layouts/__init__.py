"""Layouts of layers: which axes of an output hold images, channels and positions."""
