"""The truth: one store a package or file."""
