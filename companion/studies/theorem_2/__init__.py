"""Theorem 2: figures of base measures that are not constant."""
