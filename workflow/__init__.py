"""Executes the chapters, checks their claims and builds the site: `python -m workflow.book`."""
