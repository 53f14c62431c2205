"""Hypothesis draws the same examples on every run: a red test stays red, a green one green."""

from hypothesis import settings

settings.register_profile("companion", derandomize=True, deadline=None, database=None)
settings.load_profile("companion")
