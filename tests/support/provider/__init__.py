"""The parts of the scripted fake provider; `tests.support.fake_provider` is the door.

behaviour (what a test asks for) → script (which one is next) → answer, events (what is said) →
delivery (how it reaches the socket) → server (connections) → ledger (what happened).
"""
