"""Second opinions on a short list: one model a file."""
