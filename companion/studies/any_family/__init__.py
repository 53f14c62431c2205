"""Mixtures of any family: one row for each family, and histograms."""
