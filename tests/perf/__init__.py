"""Measurements, never timed assertions: nothing in this folder is collected by pytest.

`python -m tests.perf.bench` prints the table of docs/performance.md, `python -m tests.perf.profile` says
where the time of our proxy goes. Everything runs on the loopback interface and ends by itself.
"""
