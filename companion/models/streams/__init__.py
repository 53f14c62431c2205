"""Streams that are switched on and off and superimposed, and their q."""
