"""Logs as JSON, a line an event; they never hold photos, names of files, tokens or answers."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_LOGGER: Final = logging.getLogger("gender_pipeline.serving")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with its facts and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: object) -> None:
    """Log an event with its facts; an error is logged with its traceback."""
    _LOGGER.log(level, event, extra={"facts": facts}, exc_info=error)


def log_as_json() -> None:
    """Let everything this process logs, uvicorn's lines included, be a line of JSON on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in (_LOGGER.name, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False  # a project's own logging is not asked
        logger.setLevel(logging.INFO)
