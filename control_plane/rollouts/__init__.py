"""Rollouts: a change to some proxies first, and to all only if those do well with it."""
