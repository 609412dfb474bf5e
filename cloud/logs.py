"""Structured logs to stderr, ours and the libraries' alike: one JSON object a line, or text for a terminal.

Values of fields that are named like secrets are struck out, whoever logs them; characters that would act on the reader's
terminal, or reorder or hide what is read, are written as escapes.
"""

import logging
import re
import sys
from typing import Any

import structlog

SECRET_NAMES = ("password", "secret", "token", "cookie", "authorization", "pin", "private_key")


def strike_secrets(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace what is named like a secret."""
    for name in event:
        if any(word == part for word in SECRET_NAMES for part in (name, *name.split("_"))):
            event[name] = "(secret)"
    return event


_ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Control characters, line breaks among them, and what reorders or hides text."""


def defuse(text: str) -> str:
    """`text` on one line, with what acts instead of being read as escapes."""
    return _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def defuse_values(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The same for every text of an event but a traceback, which has lines."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = defuse(value)
    return event


def start_logging(level: str, form: str) -> None:
    """Route structlog and logging to stderr: `form` is `json` or `text`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        strike_secrets,
        defuse_values,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the other one shows local variables
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    )
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [stream]
    root.setLevel(level.upper())
    for quiet in ("uvicorn.access", "httpx", "alembic"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
