"""Policies over a simulated day: the real policy engine, invented providers. `make simulate`."""
