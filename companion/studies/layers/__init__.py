"""Factor analysis and deep belief nets: gaps by layer."""
