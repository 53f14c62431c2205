"""Checks of input, small tables, dictionaries of tensors: no mathematics of the book."""
