"""What experiments promise, by seeded simulation of the real decisions. `make simulate-experiments`."""
