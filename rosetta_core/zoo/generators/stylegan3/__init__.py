"""StyleGAN3 (Karras et al., 2021) and StyleGAN-XL (Sauer et al., 2022)."""
