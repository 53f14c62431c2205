"""Exponential families: figures of the criterion."""
