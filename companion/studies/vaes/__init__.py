"""VAEs and their three entropies: latent curves."""
