"""The node's log: events with named values, written to logs/node.log by a thread of its own. Start reading at `Logs`.

A call costs microseconds and never waits for a disk: records go through a bounded queue, and what does not fit is
counted and dropped. A log that cannot be written never ends the node: it says so once on the terminal and is tried
again. Names of values that could hold a secret are struck out; nothing else may be logged that is one.
"""

import copy
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any, Self

import structlog
from rich.console import Console

from node.settings import LogSettings

QUEUE_MAXIMUM = 10_000
VALUE_CHARACTERS, TRACEBACK_CHARACTERS = 2_000, 20_000
RETRY_SECONDS, CLOSE_SECONDS = 30, 2
SECRET_WORDS = ("password", "token", "mnemonic", "words", "secret", "private", "entropy", "seed")
NAMES_ALLOWED = ("tokens", "tokens_per_second")

Event = MutableMapping[str, Any]


def log_of(source: str) -> Any:
    """The log of one part of the node: `log_of("rounds").info("round closed", round=3)`."""
    return structlog.get_logger("neuroshard." + source, source=source)


class Logs:
    """The open log of one running node: a context that records what ends the node by surprise."""

    def __init__(self, folder: Path, settings: LogSettings, console: Console) -> None:
        self.path = folder / "node.log"
        self._file = _LogFile(self.path, settings, self._tell)
        self._terminal = _Terminal(console, settings.terminal_level.upper())
        records: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_MAXIMUM)
        self._entrance = _Entrance(records)
        self._listener = _Listener(records, self._file, self._terminal)
        self._level = min(self._file.level, self._terminal.level)
        self._before: tuple[Any, ...] = ()

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._before = root.level, threading.excepthook, sys.unraisablehook
        root.addHandler(self._entrance)
        root.setLevel(self._level)
        logging.captureWarnings(True)
        threading.excepthook = lambda fault: _log_surprise("thread", fault.exc_type, fault.exc_value)
        sys.unraisablehook = lambda fault: _log_surprise("cleanup", fault.exc_type, fault.exc_value)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from chain.errors import NeuroError
        from training.errors import TrainingError

        is_surprise = isinstance(error, Exception) and not isinstance(error, NeuroError | TrainingError | OSError)
        if is_surprise:
            _log_surprise("node", kind, error)
        elif isinstance(error, Exception):
            log_of("node").error("stopped by an error", kind=type(error).__name__, reason=str(error), shown=True)
        root = logging.getLogger()
        root.removeHandler(self._entrance)
        level, threading.excepthook, sys.unraisablehook = self._before
        root.setLevel(level)
        logging.captureWarnings(False)
        self._listener.stop()
        self._file.close()
        if is_surprise and error is not None and not self._file.has_failed:
            # Read by whoever tells the user; the error itself goes on its way.
            error.add_note(f"{LOG_NOTE}{self.path}")

    @property
    def level(self) -> str:
        """The least that is written to the file."""
        return logging.getLevelName(self._file.level).lower()

    @level.setter
    def level(self, name: str) -> None:
        self._file.setLevel(name.upper())
        self._level = min(self._file.level, self._terminal.level)
        logging.getLogger().setLevel(self._level)

    def _tell(self, reason: str) -> None:
        self._terminal.say(f"warning: the log {self.path} cannot be written: {reason}; the node goes on without it")


LOG_NOTE = "more about it in "  # begins the note on an unexpected error that stands in the log


def _log_surprise(where: str, kind: type[BaseException] | None, error: BaseException | None) -> None:
    trace = None if kind is None or error is None else (kind, error, error.__traceback__)
    logging.getLogger("neuroshard." + where).error("unexpected error", exc_info=trace, extra={"shown": where == "node"})


# ---- From the caller to the queue


class _Entrance(QueueHandler):
    """Puts records into the queue without ever waiting."""

    def __init__(self, records: "queue.Queue[logging.LogRecord]") -> None:
        super().__init__(records)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        if not isinstance(record.msg, dict):  # of a library: its arguments may change until the thread reads them
            record = copy.copy(record)
            try:
                record.msg = record.getMessage()
            except (TypeError, ValueError):
                record.msg = str(record.msg)
            record.args = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        record.__dict__["dropped"] = self.dropped
        try:
            self.queue.put_nowait(record)
            self.dropped = 0
        except queue.Full:
            self.dropped += 1


class _Listener(QueueListener):
    """The thread that writes. A disk that hangs is not waited for."""

    def __init__(self, records: "queue.Queue[Any]", *handlers: logging.Handler) -> None:
        super().__init__(records, *handlers, respect_handler_level=True)
        self._records = records

    def stop(self) -> None:
        thread = self._thread
        if thread is None:
            return
        with suppress(queue.Full):
            self._records.put(None, timeout=CLOSE_SECONDS)
        thread.join(CLOSE_SECONDS)
        self._thread = None


# ---- From the queue to file and terminal


class _LogFile(RotatingFileHandler):
    """node.log and its older parts, readable by their owner only. Whatever the disk does, nothing is raised."""

    def __init__(self, path: Path, settings: LogSettings, tell: Any) -> None:
        super().__init__(
            path, maxBytes=settings.file_bytes, backupCount=settings.files - 1, encoding="utf-8", delay=True
        )
        self.errors = "backslashreplace"
        self.setLevel(settings.level.upper())
        self.setFormatter(_Json() if settings.format == "json" else _Text())
        self.tell = tell
        self._silent_until = 0.0
        self.has_failed = False

    def createLock(self) -> None:
        # Only the writing thread comes here: with a lock, a disk that hangs would hang the end of the program too.
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() >= self._silent_until:
            super().emit(record)

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(mode=0o700, exist_ok=True)
        return open(self.baseFilename, "a", encoding="utf-8", errors=self.errors, opener=_private)

    def doRollover(self) -> None:
        if self.backupCount:
            super().doRollover()
            return
        # The base class would let a lone file grow without end.
        if self.stream is not None:
            self.stream.close()
        Path(self.baseFilename).unlink(missing_ok=True)
        self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        with suppress(OSError, ValueError):
            if self.stream is not None:
                self.stream.close()
        self.stream = None
        self._silent_until = time.monotonic() + RETRY_SECONDS
        if not self.has_failed:
            self.has_failed = True
            self.tell(getattr(error, "strerror", None) or str(error))

    def close(self) -> None:
        with suppress(OSError, ValueError):
            super().close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Terminal(logging.Handler):
    """What the user sees of the log, above the live screen. A terminal that is gone is not missed."""

    def __init__(self, console: Console, level: str) -> None:
        super().__init__(level)
        self.console = console
        self.addFilter(lambda record: not _event_of(record).get("shown"))

    def emit(self, record: logging.LogRecord) -> None:
        event = _event_of(record)
        values = " ".join(f"{name}={text_of(value)}" for name, value in _values(event).items())
        self.say(f"{record.levelname.lower()}: {escaped(str(event['event']))} {values}".rstrip())

    def say(self, text: str) -> None:
        # rich ends the program when its pipe is broken; only the screen may do that.
        with suppress(OSError, ValueError, SystemExit):
            self.console.print(text, markup=False, highlight=False)


class _Text(logging.Formatter):
    """2026-01-31T10:20:30.123Z info    round closed source=rounds round=3"""

    def format(self, record: logging.LogRecord) -> str:
        event = _event_of(record)
        head = f"{_time(record)} {record.levelname.lower():<7} {escaped(str(event['event']))}"
        values = "".join(f" {name}={text_of(value)}" for name, value in _values(event).items())
        trace = _trace(record)
        return head + values + "".join(f"\n    {escaped(line)}" for line in trace.splitlines())


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event = _event_of(record)
        values = {name: plain(value) for name, value in _values(event).items()}
        head = {"time": _time(record), "level": record.levelname.lower(), "event": str(event["event"])}
        trace = _trace(record)
        return json.dumps({**head, **values, **({"exception": trace} if trace else {})})


def _event_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """The event and its values, whether we or a library wrote the record."""
    shown: dict[str, Any] = {"shown": True} if getattr(record, "shown", False) else {}
    if dropped := getattr(record, "dropped", 0):
        shown["dropped_before"] = dropped
    if isinstance(record.msg, dict):
        return {**record.msg, **shown}
    return {"event": str(record.msg)[:VALUE_CHARACTERS], "source": record.name.removeprefix("neuroshard."), **shown}


def _values(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("event", "shown")}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return logging.Formatter().formatException(record.exc_info)[-TRACEBACK_CHARACTERS:]


def plain(value: Any) -> Any:
    """A value as JSON has it: bounded, bytes as hex."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if abs(value) < float("inf") else str(value)
        case bytes():
            return value.hex()[:VALUE_CHARACTERS]
        case list() | tuple():
            return [plain(each) for each in value[:100]]
        case Mapping():
            return {str(name): plain(each) for name, each in list(value.items())[:100]}
        case _:
            return str(value)[:VALUE_CHARACTERS]


def text_of(value: Any) -> str:
    """A value as one word, or in quotes."""
    value = plain(value)
    if isinstance(value, str) and value.isascii() and value.isprintable() and value and not set(value) & set(' "=\\'):
        return value
    return json.dumps(value)


def escaped(text: str) -> str:
    """A line that stays one line and does nothing to a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\t" else ascii(sign)[1:-1] for sign in text)


# ---- What happens to every event of ours


def _strike_secrets(_: Any, __: str, event: Event) -> Event:
    for name in event:
        if any(word in name for word in SECRET_WORDS) and name not in NAMES_ALLOWED:
            event[name] = "[struck out]"
    return event


def _to_record(_: Any, __: str, event: Event) -> tuple[tuple[Event], dict[str, Any]]:
    trace = event.pop("exc_info", None)
    return (event,), {"exc_info": trace} if trace else {}


def _refused_request(record: logging.LogRecord) -> bool:
    """A stranger's malformed request is worth a line when everything is logged, and no traceback."""
    kind = record.exc_info[0] if record.exc_info else None
    if kind is not None and kind.__module__ == "aiohttp.http_exceptions":
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args, record.exc_info = {"event": "request refused", "source": "api"}, None, None
    return True


structlog.configure(
    processors=[structlog.stdlib.filter_by_level, _strike_secrets, _to_record],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
# Before a node runs, and in tests, the log goes nowhere.
logging.getLogger("neuroshard").addHandler(logging.NullHandler())
logging.getLogger("aiohttp.server").addFilter(_refused_request)
# Libraries' own steps are of no interest.
logging.getLogger("asyncio").setLevel(logging.INFO)
logging.getLogger("apscheduler").setLevel(logging.WARNING)
