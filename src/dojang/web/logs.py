"""Logs: a JSON object a line on stderr, plain text where that is a terminal (conventions: logs).

Redaction sits in the one handler at the root, after formatting: messages, arguments, extra fields
and tracebacks all pass through it, whoever logs. What Python itself would print to stderr (an
exception nobody caught, in a thread or a destructor; a warning) is logged instead.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from dojang.web.redaction import redact

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_log: Final = logging.getLogger("dojang")


class _RedactingFormatter(logging.Formatter):
    """Redacts the whole of what `render` makes of a record."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return redact(self.render(record))
        except Exception as error:  # noqa: BLE001  a line that cannot be written ends no request
            return redact(f"a log record could not be written: {type(error).__name__}")

    def render(self, record: logging.LogRecord) -> str:
        return super().format(record)


class JsonFormatter(_RedactingFormatter):
    """`time` (UTC), `level`, `logger`, `event`, the record's extra fields, and `exception`."""

    def render(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _build_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_find_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=repr).decode()


class TextFormatter(_RedactingFormatter):
    """For people: time, level, event, and the extra fields."""

    def render(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _find_extra(record).items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():<7} {record.getMessage()}{extra}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure_logging(
    *, level: str = "INFO", stream: TextIO | None = None, as_json: bool | None = None
) -> None:
    """Make the root logger write to `stream` (stderr). `as_json` None: unless it is a terminal."""
    stream = stream or sys.stderr
    if as_json is None:
        as_json = not stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = False  # it would print the record, as it is, to stderr
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _log.critical("an exception was not caught", exc_info=(kind, error, trace))


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    value = arguments.exc_value
    if value is not None:
        trace = arguments.exc_traceback
        _log.critical("a thread failed", exc_info=(arguments.exc_type, value, trace))


def _log_unraisable(arguments: sys.UnraisableHookArgs) -> None:
    value = arguments.exc_value
    if value is not None:
        trace = arguments.exc_traceback
        _log.error("an exception had nowhere to go", exc_info=(arguments.exc_type, value, trace))


def _find_extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _build_time(created: float) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{at}.{int(created % 1 * 1000):03}Z"
