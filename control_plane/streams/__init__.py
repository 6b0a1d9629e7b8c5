"""The streams to proxies: config down, usage up."""
