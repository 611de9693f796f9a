"""Mining: samples, activations, correlations, best buddies, concepts and their significance."""
