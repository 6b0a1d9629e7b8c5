"""The few pure functions on which control plane, proxy and command must agree.

Nothing here does input or output, keeps state, or knows who calls it.
"""
