"""Deeper models: layers and their entropies, outliers, and volumes of typical sets."""
