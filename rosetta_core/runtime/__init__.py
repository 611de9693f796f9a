"""The process: progress, memory, threads, machine and code fingerprints."""
