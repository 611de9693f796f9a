"""Files: atomic writes, file indices, Parquet tables, Zarr stores, images and checkpoints."""
