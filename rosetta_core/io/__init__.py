"""Files: atomic writes, checksums, Parquet tables, Zarr stores and images."""
