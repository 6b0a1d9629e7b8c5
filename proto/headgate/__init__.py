"""Headgate's contract: the messages and services in `headgate.v1`, and the rules both sides share."""
