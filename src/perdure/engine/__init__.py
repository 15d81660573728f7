"""The engine: what to keep, find, change and forget, over the ports alone."""
