"""What one chapter needs, a folder each: no study imports another, and the core imports none."""
