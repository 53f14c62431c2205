"""Entropy sums at a glance: ELBO and entropy sum over the plane of two parameters."""
