"""Topics of documentation: a corpus, learned topics in words, and what misses."""
