"""The page of two runs' concepts, translated into each other."""
