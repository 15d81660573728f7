"""What adds leave to be done: who does it, when it is tried again, and what has become of it."""
