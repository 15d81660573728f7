"""The truth: what was said, what is remembered of it, and what became of that."""
