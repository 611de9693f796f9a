"""Zarr v3 stores: written by zarr, read as data by a reader of their own."""
