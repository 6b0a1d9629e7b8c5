"""The data plane: the way of one call, from HTTP in to usage record out."""
