"""Manifolds: likelihood by quadrature over few latents, and figures."""
