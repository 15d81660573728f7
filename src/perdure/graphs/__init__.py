"""Graph engines, one vendor a file; they derive from the store and can be made again from it."""
