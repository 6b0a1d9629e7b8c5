"""How models stand, as the proxies report it."""
