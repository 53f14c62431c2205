"""Mixture models: Gaussian components, and components of any family."""
