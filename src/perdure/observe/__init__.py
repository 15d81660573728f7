"""What is known of how things go, and of what they cost."""
