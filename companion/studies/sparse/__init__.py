"""Sparse coding: figures of codes."""
