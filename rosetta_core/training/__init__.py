"""Self-supervised training of encoders on a generator's samples or a folder of images."""
