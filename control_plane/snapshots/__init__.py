"""Snapshots: one immutable picture of the config per version, and the deltas between two of them."""
