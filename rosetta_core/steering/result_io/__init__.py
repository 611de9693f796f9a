"""Reading and writing the folders of steering jobs."""
