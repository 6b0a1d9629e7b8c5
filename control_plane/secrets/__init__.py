"""Sealing: what makes a stolen database not a stolen key."""
