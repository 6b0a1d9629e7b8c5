"""Resources: the declared config. Specs here, state beside them."""
