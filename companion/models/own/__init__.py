"""Your own VAE or Pyro program: its three entropies, and what its loss is."""
