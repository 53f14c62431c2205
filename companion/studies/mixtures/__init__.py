"""Gaussian mixtures: ellipses of components."""
