"""VAEs and their three entropies: certificates and latent curves."""
