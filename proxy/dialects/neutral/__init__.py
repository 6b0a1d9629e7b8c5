"""What all dialects mean: a request as values, an answer as calls on a sink. Knows no wire format."""
