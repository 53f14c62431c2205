"""Time series: hidden Markov models and linear dynamical systems, parameters shared over time."""
