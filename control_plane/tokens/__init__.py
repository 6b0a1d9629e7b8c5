"""Admin and proxy tokens: who may call what."""
