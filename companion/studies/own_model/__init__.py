"""Verify your own model: figures of counts."""
