"""BigGAN-deep (Brock, Donahue and Simonyan, 2019)."""
