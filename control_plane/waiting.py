"""Waiting for an event, but not for ever.

Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes together with the event
(https://github.com/python/cpython/issues/86296), and a task that is not cancelled is waited for without end.
"""

from __future__ import annotations

import asyncio


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """True: the event came; False: the time ran out."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
