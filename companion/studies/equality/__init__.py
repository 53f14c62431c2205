"""Equality without convergence: figures."""
