"""The importance-weighted bound and its four entropies."""
