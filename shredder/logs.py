"""Logs as lines of JSON, from our code and from libraries alike, with secrets taken out."""

import logging
import re
from typing import Any

import structlog

# Our keys, providers' keys, and whatever follows Bearer, wherever they turn up in a line.
SECRET = re.compile(r"(awx_(?:live|test|org)_|(?<![A-Za-z0-9_])(?:sk-|AIza)|(?i:bearer)\s+)[^\s\"'\\,;<>)}\]]+")


def redact(text: str) -> str:
    """Replace everything that looks like a key by its first letters."""
    return SECRET.sub(lambda found: found[1] + "…", text)


class JSONFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record as one line of JSON and redacts the line, so that no field can be forgotten."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("foreign_pre_chain", _SHARED)
        options.setdefault(
            "processors",
            [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
        super().__init__(*args, **options)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class WithoutTraceback(logging.Filter):
    """For events that come from outside and say all in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

structlog.configure(
    processors=[
        *_SHARED[:3],
        structlog.stdlib.PositionalArgumentsFormatter(),
        _SHARED[4],
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def configuration(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error, in JSON."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JSONFormatter}},
        "filters": {"without_traceback": {"()": WithoutTraceback}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Django's own handlers would print the same events a second time, or mail them.
            "django": {"handlers": [], "level": level, "propagate": True},
            # Scanners try other host names all day.
            "django.security.DisallowedHost": {"filters": ["without_traceback"], "level": "ERROR"},
            # The uvicorn command brings a format of its own, in which nothing is redacted.
            "uvicorn": {"handlers": [], "level": "WARNING", "propagate": True},
            "uvicorn.error": {"level": "WARNING"},
            # Nor in its lines for each request, whose addresses hold the keys of Google's clients.
            "uvicorn.access": {"handlers": [], "propagate": False},
            "httpx": {"level": "WARNING"},
            # A line for each task, every few seconds, says nothing; failures are louder than this.
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
        },
    }
