"""Requests that two parsers could read differently. Each hides a second request, `HIDDEN`, in its framing."""

from __future__ import annotations

import json

from tests.integration.proxy.gateway import chat

BODY = json.dumps(chat("alpha")).encode()
# What must never be called as a request of its own unless it plainly is one.
HIDDEN = json.dumps(chat("beta")).encode()

START = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer KEY\r\n"
# Sent after every form: a connection that is still open answers it and closes, so that nobody waits in vain
# for one more answer. No provider is asked for the list of models.
LAST = b"GET /v1/models HTTP/1.1\r\nhost: h\r\nauthorization: Bearer KEY\r\nconnection: close\r\n\r\n"
HIDDEN_REQUEST = START + b"content-length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"content-length: %d\r\n" % len(BODY)


def with_length(extra: bytes, after: bytes = HIDDEN_REQUEST) -> bytes:
    return START + LENGTH + extra + b"\r\n" + BODY + after


def with_chunks(extra: bytes, body: bytes = CHUNKED) -> bytes:
    return START + extra + b"\r\n" + body + HIDDEN_REQUEST


def chunk(size: bytes, end: bytes = b"\r\n", data: bytes = BODY, last: bytes = b"0\r\n\r\n") -> bytes:
    return with_chunks(b"transfer-encoding: chunked\r\n", size + end + data + b"\r\n" + last)


SIZE = b"%x" % len(BODY)
TE = b"transfer-encoding: chunked\r\n"

# Forms that are no valid HTTP/1.1: refused, and nothing behind them is read.
REFUSED: dict[str, bytes] = {
    "length and chunked": with_chunks(LENGTH + TE),
    "chunked and length": with_chunks(TE + LENGTH),
    "length and chunked, length of nothing": with_chunks(b"content-length: 0\r\n" + TE),
    "two lengths that differ": with_length(b"content-length: 5\r\n"),
    "two lengths, the longer last": with_length(b"content-length: %d\r\n" % (len(BODY) + 9)),
    "two equal lengths": with_length(LENGTH),
    "a list of lengths": START + b"content-length: %d, %d\r\n\r\n" % (len(BODY), 5) + BODY + HIDDEN_REQUEST,
    "a signed length": START + b"content-length: +%d\r\n\r\n" % len(BODY) + BODY + HIDDEN_REQUEST,
    "a negative length": START + b"content-length: -1\r\n\r\n" + BODY + HIDDEN_REQUEST,
    "a hexadecimal length": START + b"content-length: 0x%x\r\n\r\n" % len(BODY) + BODY + HIDDEN_REQUEST,
    "a length with an underscore": START + b"content-length: 1_0\r\n\r\n" + BODY + HIDDEN_REQUEST,
    "a length with a space inside": START + b"content-length: 1 0\r\n\r\n" + BODY + HIDDEN_REQUEST,
    "a length beyond 64 bits": START + b"content-length: %d\r\n\r\n" % 2**64 + BODY + HIDDEN_REQUEST,
    "an empty length": START + b"content-length:\r\n\r\n" + BODY + HIDDEN_REQUEST,
    "a folded header": with_length(b"x-folded: a\r\n b\r\n"),
    "a folded encoding": with_chunks(b"transfer-encoding:\r\n chunked\r\n"),
    "a folded length": START + b"content-length:\r\n %d\r\n\r\n" % len(BODY) + BODY + HIDDEN_REQUEST,
    "a line that begins with a space": START + b" x: y\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN_REQUEST,
    "a space before the colon": START + b"content-length : %d\r\n\r\n" % len(BODY) + BODY + HIDDEN_REQUEST,
    "a tab before the colon": with_chunks(b"transfer-encoding\t: chunked\r\n"),
    "a header without a colon": with_length(b"transfer-encoding chunked\r\n"),
    "a header without a name": with_length(b": chunked\r\n"),
    "a NUL in a name": with_length(b"trans\0fer-encoding: chunked\r\n"),
    "a NUL in a value": with_length(b"x: a\0b\r\n"),
    "a bare carriage return in a value": with_length(b"x: a\rtransfer-encoding: chunked\r\n"),
    "a bare carriage return at a line's end": with_length(b"x: a\r"),
    "chunked twice": with_chunks(b"transfer-encoding: chunked, chunked\r\n"),
    "chunked, but not last": with_chunks(b"transfer-encoding: chunked, identity\r\n"),
    "an unknown encoding": with_chunks(b"transfer-encoding: xchunked\r\n"),
    "an encoding in quotes": with_chunks(b'transfer-encoding: "chunked"\r\n'),
    "an encoding with a vertical tab": with_chunks(b"transfer-encoding: \x0bchunked\r\n"),
    "identity": with_chunks(b"transfer-encoding: identity\r\n"),
    "two encodings in two headers": with_chunks(b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n"),
    "a chunk size of letters": chunk(b"zz"),
    "a signed chunk size": chunk(b"+" + SIZE),
    "a negative chunk size": chunk(b"-" + SIZE),
    "a chunk size with 0x": chunk(b"0x" + SIZE),
    "a chunk size beyond 64 bits": chunk(b"1" + b"0" * 16),
    "an empty chunk size": chunk(b""),
    "a chunk size with a space before": chunk(b" " + SIZE),
    "a chunk size ended by a line feed": chunk(SIZE, b"\n"),
    "a chunk size ended by a carriage return": chunk(SIZE, b"\r"),
    "a chunk longer than its size": chunk(b"5"),
    "a chunk extension with a line feed": chunk(SIZE + b";x=\n"),
    "a chunk without its line end": with_chunks(TE, SIZE + b"\r\n" + BODY + b"0\r\n\r\n"),
    "no host": START.replace(b"host: h\r\n", b"") + LENGTH + b"\r\n" + BODY + HIDDEN_REQUEST,
    "a version that does not exist": (START + LENGTH + b"\r\n" + BODY).replace(b"/1.1", b"/1.9", 1),
    "no version": (START + LENGTH + b"\r\n" + BODY).replace(b" HTTP/1.1", b"", 1),
    "a target with a space": (START + LENGTH + b"\r\n").replace(b"chat/", b"chat /", 1) + BODY,
    "a lower-case method": (START + LENGTH + b"\r\n").replace(b"POST", b"post", 1) + BODY,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN_REQUEST,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + HIDDEN_REQUEST,
}

# Forms that one parser must read as one request, and the next as the next.
PLAIN: dict[str, bytes] = {
    "two plain requests": with_length(b""),
    "a chunked one": with_chunks(TE),
    "a chunk size with leading zeros": chunk(b"000" + SIZE),
    "a chunk extension": chunk(SIZE + b';name="value"'),
    "trailers": chunk(SIZE, last=b"0\r\nx-trailer: 1\r\n\r\n"),
    "a name in capitals": with_chunks(b"TRANSFER-ENCODING: Chunked\r\n"),
    "an empty line before": b"\r\n" + with_length(b""),
}

# Lenient readings that are safe as long as nothing hides behind them: at most what was plainly sent.
LENIENT: dict[str, bytes] = {
    "bare line feeds": with_length(b"").replace(b"\r\n", b"\n"),
    "a bare line feed after one header": with_length(b"x: y\n"),
    "a bare line feed before a header that hides": with_length(b"x: y\ntransfer-encoding: chunked\r\n"),
    "a chunk size with a space after": chunk(SIZE + b" "),
    "a gzip, chunked body": with_chunks(b"transfer-encoding: gzip, chunked\r\n"),
    "a space too many in the first line": with_length(b"").replace(b" HTTP", b"  HTTP", 1),
    "another name with an underscore": with_length(b"transfer_encoding: chunked\r\n"),
    "chunked in HTTP/1.0": with_chunks(TE).replace(b"/1.1", b"/1.0", 1),
    "two hosts": with_length(b"host: other\r\n"),
    "an absolute target": with_length(b"").replace(b"POST /", b"POST http://h/", 1),
    "a length on GET": b"GET /v1/models HTTP/1.1\r\nhost: h\r\nauthorization: Bearer KEY\r\n"
    + LENGTH
    + b"\r\n"
    + BODY
    + HIDDEN_REQUEST,
    "form feeds around a value": with_length(b"x: \x0c\x0b\r\n"),
    "connection names the length": with_length(b"connection: content-length\r\n"),
}
