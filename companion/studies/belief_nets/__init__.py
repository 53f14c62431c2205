"""Sigmoid belief networks: code lengths."""
