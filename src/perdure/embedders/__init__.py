"""Texts to vectors: one model a file."""
