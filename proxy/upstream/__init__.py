"""Towards the providers: the only part of the proxy that opens outbound connections for calls."""
