"""Sparse coding with a Laplace prior: exact expectations, and inference with entropy weights."""
