"""Gaussian processes: predictions, inducing points, and oracles for both."""
