"""Wire formats of clients and providers: pure functions and state machines over bytes and documents."""
