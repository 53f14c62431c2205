"""Posterior collapse: what each latent carries, where it collapses; figures of it."""
