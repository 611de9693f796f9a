"""StyleGAN2 (Karras et al., 2020) in the layouts of NVIDIA and rosinality."""
