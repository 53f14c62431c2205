"""Temperature: tempered models, their ELBO, and figures."""
