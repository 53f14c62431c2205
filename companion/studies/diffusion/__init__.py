"""Diffusion models trained, sampled, and held against closed forms."""
