"""What judging costs the calls of clients: the same load, with and without a judge, in interleaved rounds.

`python -m tests.perf.judging` starts a real `headgate up` in front of instant models: some judge, one
hangs and one fails. Timed things are no tests: they are here, and a promise that was not kept is the exit
code 1.
"""
