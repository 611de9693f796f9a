"""Mining: images, activation maps, correlations, best buddies, concepts."""
