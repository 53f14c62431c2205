"""VAEs for discrete data: figures."""
