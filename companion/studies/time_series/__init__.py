"""A Kalman filter's likelihood, and that of hidden Markov models, from entropies."""
