"""Theorem 1: figures for the lines of the proof."""
