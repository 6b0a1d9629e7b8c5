"""What experiments came to: figures per variant, and whether a difference is real."""
