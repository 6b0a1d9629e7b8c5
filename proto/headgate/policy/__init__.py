"""What a policy decides: pure, with no clock and no chance of its own.

Here rather than in the proxy because three must decide alike: the proxy for a call, the control plane for
`route explain`, and `replay` for what was recorded.
"""
