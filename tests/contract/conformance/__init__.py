"""Every recorded exchange of a generating endpoint as upstream, called in every client dialect.

`cases` says what is played, `asking` what the client sends, `playing` plays it through a running gateway
with the official SDKs, `judging` looks at what came of it on all sides; `python -m
tests.contract.conformance` writes docs/conformance.md. What counts as the same is decided here,
independently of the product: `meaning*` reads requests, `said*` answers.
"""
