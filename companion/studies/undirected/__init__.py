"""Boltzmann machines: annealed importance sampling along v, and machines learned on pixels."""
