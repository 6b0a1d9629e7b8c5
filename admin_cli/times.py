"""Times and durations as options take them, and as messages carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from admin_cli.errors import UsageProblem
from headgate.rules.units import parse_duration_ns


def duration(text: str, option: str) -> Duration:
    """`30d` as a Duration."""
    try:
        nanoseconds = parse_duration_ns(text)
    except ValueError as error:
        raise UsageProblem(f"{option}: {error}") from None
    message = Duration()
    message.FromNanoseconds(nanoseconds)
    return message


def since(text: str, now: datetime, option: str = "--since") -> Timestamp:
    """`24h` before now."""
    seconds = duration(text, option).ToNanoseconds() / 1e9
    try:
        return timestamp(now - timedelta(seconds=seconds))
    except OverflowError:
        raise UsageProblem(f"{option}: {text} is too long ago") from None


def moment(text: str, option: str) -> Timestamp:
    """RFC 3339, or a date; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageProblem(
            f"{option}: {text!r} is not a time", "write 2026-01-31 or 2026-01-31T12:00:00Z (RFC 3339)"
        ) from None
    return timestamp(time if time.tzinfo else time.replace(tzinfo=UTC))


def timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def utc_now() -> datetime:
    return datetime.now(UTC)
