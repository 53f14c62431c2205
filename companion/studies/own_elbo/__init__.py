"""Is my ELBO right? A VAE as it is usually written, and mistakes planted in it."""
