"""Posterior collapse: figures of what each latent carries."""
