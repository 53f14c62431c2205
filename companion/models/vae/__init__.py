"""Variational autoencoders with Gaussian and discrete decoders, and what each latent carries."""
