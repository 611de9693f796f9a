"""Generator families and their latent spaces."""
