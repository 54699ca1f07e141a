"""The engine's own log on stderr: lines for people, or (`log-format: json`) an object a line.

An object has `time` (RFC 3339, UTC), `level` (debug, info, warning, error, fatal), `logger`, `msg`
and, of an exception, `error` with its traceback.
"""

from __future__ import annotations

import json
import logging

from sampan.kit import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.engine.settings import Settings

_TEXT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "fatal" if record.levelno >= logging.CRITICAL else record.levelname.lower()
        told = {
            "time": clock.rfc3339(int(record.created * 10**9)),
            "level": level,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def begin(settings: Settings) -> None:
    """As the settings say: `log-format`, `log-level`, `debug`."""
    handler = logging.StreamHandler()
    formatter = _Json() if settings["log-format"] == "json" else logging.Formatter(_TEXT)
    handler.setFormatter(formatter)
    level = logging.DEBUG if settings["debug"] else _LEVELS[settings["log-level"]]
    logging.basicConfig(level=level, handlers=[handler])
    if level > logging.DEBUG:
        logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
