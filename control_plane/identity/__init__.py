"""Who a proxy is: an authority of our own, join tokens, certificates."""
