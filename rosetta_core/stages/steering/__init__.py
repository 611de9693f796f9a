"""Execution of steering jobs: one module per kind of job, which calls one library function."""
