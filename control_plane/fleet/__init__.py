"""The fleet: who runs what."""
