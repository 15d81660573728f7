"""How the local embedding model is made: only the repository and its builds need this."""
