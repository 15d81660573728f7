"""Caches: in this process, and shared by several."""
