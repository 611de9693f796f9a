"""Progress, memory, threads, devices and code fingerprints."""
