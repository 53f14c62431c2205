"""Benchmarks: this companion side by side with others that do the same work to the same result.

`make bench` measures every row of the table of targets and writes `results.json`, from which the
book's page of benchmarks is made. This package is not installed; it runs from the repository.
"""
