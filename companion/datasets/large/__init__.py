"""Data sets that are downloaded or read from a folder of the reader's own: MNIST, CelebA, SUSY."""
