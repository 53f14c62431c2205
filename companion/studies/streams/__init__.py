"""Streams of superimposed digits: data, learning, and entropies of their switches."""
