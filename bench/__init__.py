"""Measures Perdure, and on request the incumbent beside it, on this machine: `python -m bench --help`."""
