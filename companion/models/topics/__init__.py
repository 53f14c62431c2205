"""Topic models: counts of words, and latents that are no single vector."""
