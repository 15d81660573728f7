"""Other libraries' names and shapes, translated at the edge and nowhere else."""
