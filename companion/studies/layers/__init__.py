"""Factor analysis and deep belief nets: gaps by dimension and by layer."""
