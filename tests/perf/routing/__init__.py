"""What routing promises, measured through the public door: races, the fastest, outages.

`python -m tests.perf.routing` starts a real `headgate up` with PostgreSQL, control plane and proxy, in front
of fake providers whose latency and health are scripted, and prints every figure beside its promise. Timed
things are no tests: they are here, and a promise that was not kept is the exit code 1.
"""
