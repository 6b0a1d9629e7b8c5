"""Virtual keys: the credentials that open them, as hashes."""
