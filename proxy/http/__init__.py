"""Towards the clients: the listener, requests as they come in, answers as they go out."""
