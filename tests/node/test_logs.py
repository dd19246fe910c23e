"""The log: what stands in it, what never does, and that nothing of it can hurt the node."""

import asyncio
import json
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from node.errors import NodeError
from node.logs import LOG_NOTE, VALUE_CHARACTERS, Logs, log_of
from node.settings import LogSettings
from node.trainer_output import CHUNK_BYTES, LAST_LINES, LINE_BYTES, LINES_AT_ONCE, log_output

LOG = log_of("test")


class Opened:
    """A log in a folder, and what the terminal showed."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.screen = StringIO()
        console = Console(file=self.screen, width=500, color_system=None)
        self.logs = Logs(folder, LogSettings(**settings), console)

    def __enter__(self) -> "Opened":
        self.logs.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.logs.__exit__(*error)

    @property
    def text(self) -> str:
        return self.logs.path.read_text()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    handlers, threads = list(logging.getLogger().handlers), threading.active_count()
    yield
    # Threads that tests before this one left may end meanwhile.
    assert list(logging.getLogger().handlers) == handlers and threading.active_count() <= threads


# ---- What stands in it


def test_an_event_is_a_line_with_time_level_and_named_values(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        LOG.info("round closed", round=3, model=b"\xab\x12", path=Path("/a b"), loss=float("nan"), none=None)
    time, rest = log.text.split(" ", 1)
    assert rest == 'info    round closed source=test round=3 model=ab12 path="/a b" loss=nan none=null\n'
    assert time.endswith("Z") and len(time) == len("2026-01-31T10:20:30.123Z")


def test_as_json_an_event_is_an_object(tmp_path: Path) -> None:
    with Opened(tmp_path, format="json") as log:
        LOG.warning("odd", number=1.5, many=[1, b"\x01"], inner={"a": None})
    [found] = log.objects
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning", "event": "odd", "source": "test", "number": 1.5, "many": [1, "01"], "inner": {"a": None},
    }  # fmt: skip


def test_the_level_says_what_is_written_and_another_one_what_is_shown(tmp_path: Path) -> None:
    with Opened(tmp_path, level="info", terminal_level="error") as log:
        for level in ("debug", "info", "warning", "error"):
            getattr(LOG, level)(f"at {level}")
    assert [line.split()[1] for line in log.text.splitlines()] == ["info", "warning", "error"]
    assert log.screen.getvalue() == "error: at error source=test\n"


def test_what_the_user_was_told_already_is_not_shown_again(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        LOG.warning("told", shown=True)
        LOG.warning("not told")
    assert "told" in log.text and log.screen.getvalue() == "warning: not told source=test\n"


def test_what_libraries_log_and_warn_stands_there_too(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        logging.getLogger("asyncio").error("task %s failed", 7)
        warnings.warn("old function", stacklevel=1)
    assert "error   task 7 failed source=asyncio" in log.text and "old function" in log.text


def test_what_a_library_logs_wrongly_is_logged_as_it_is(tmp_path: Path) -> None:
    record = logging.LogRecord("lib", logging.ERROR, "", 0, "bad %d", ("words",), None)
    assert Opened(tmp_path).logs._entrance.prepare(record).msg == "bad %d"


def test_a_value_cannot_forge_a_line_or_reach_the_terminal(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        LOG.warning("said", words="a\n2026-01-01 forged\x1b[31m\u202e\x9b")
        logging.getLogger("other").warning("b\nforged\x1b[31m")
    assert len(log.text.splitlines()) == 2
    for text in (log.text, log.screen.getvalue()):
        assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    with Opened(tmp_path, format="json") as log:
        LOG.info("long", whole="x" * VALUE_CHARACTERS, cut="y" * (VALUE_CHARACTERS + 1))
    [found] = log.objects
    assert len(found["whole"]) == len(found["cut"]) == VALUE_CHARACTERS


@pytest.mark.parametrize("kind", ["text", "json"])
def test_an_exception_stands_there_with_its_traceback(tmp_path: Path, kind: str) -> None:
    with Opened(tmp_path, format=kind) as log:
        try:
            int("x")
        except ValueError:
            LOG.exception("failed")
    assert "Traceback" in log.text and "invalid literal" in log.text
    assert len(log.text.splitlines()) == 1 or all(line.startswith("    ") for line in log.text.splitlines()[1:])


def test_a_value_named_like_a_secret_is_struck_out(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        LOG.info("x", password="hunter2", api_token="hunter2", twelve_words="hunter2", private_key="hunter2", tokens=5)
    assert "hunter2" not in log.text and "tokens=5" in log.text and "password=" in log.text


def test_before_a_log_is_open_events_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    LOG.error("nobody hears this")
    assert capfd.readouterr() == ("", "")


# ---- Files


def test_the_log_is_its_owners_alone(tmp_path: Path) -> None:
    with Opened(tmp_path / "logs") as log:
        LOG.info("x")
    assert stat.S_IMODE(log.logs.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.logs.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("files", [1, 3])
def test_the_log_never_takes_more_than_its_files_times_their_size(tmp_path: Path, files: int) -> None:
    size = 1000
    with Opened(tmp_path, file_bytes=size, files=files):
        for number in range(200):
            LOG.info("event", number=number)
    written = sorted(tmp_path.iterdir())
    assert len(written) == files and sum(path.stat().st_size for path in written) <= files * size
    assert "number=199" in (tmp_path / "node.log").read_text()


def test_a_second_start_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with Opened(tmp_path) as log:
            LOG.info(name)
    assert [line.split()[2] for line in log.text.splitlines()] == ["first", "second"]


# ---- Nothing of it hurts the node


def test_a_log_that_cannot_be_written_says_so_once_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the place of the folder")
    with Opened(tmp_path / "logs") as log:
        for _ in range(3):
            LOG.info("lost")
    assert log.screen.getvalue().count("cannot be written") == 1 and "File exists" in log.screen.getvalue()


def test_a_full_disk_ends_neither_the_node_nor_its_other_warnings(tmp_path: Path) -> None:
    (tmp_path / "node.log").symlink_to("/dev/full")
    with Opened(tmp_path) as log:
        for _ in range(3):
            LOG.warning("still shown")
    assert log.screen.getvalue().count("No space left on device") == 1
    assert log.screen.getvalue().count("still shown") == 3


def test_a_log_is_written_again_when_the_disk_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.logs.RETRY_SECONDS", 0)
    (tmp_path / "logs").write_text("in the way")
    with Opened(tmp_path / "logs") as log:
        LOG.info("lost")
        while "cannot be written" not in log.screen.getvalue():
            os.sched_yield()
        (tmp_path / "logs").unlink()
        LOG.info("kept")
    assert "kept" in log.text and "lost" not in log.text


def test_a_disk_that_hangs_makes_nobody_wait_and_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.logs.CLOSE_SECONDS", 0.01)
    monkeypatch.setattr("node.logs.QUEUE_MAXIMUM", 50)
    path = tmp_path / "node.log"
    os.mkfifo(path)  # Opening it waits until somebody reads.
    with Opened(tmp_path, terminal_level="error") as log:
        thread = log.logs._listener._thread
        LOG.info("event", number=0)
        while not log.logs._entrance.queue.empty():  # type: ignore[attr-defined]
            os.sched_yield()
        for number in range(150):
            LOG.info("event", number=number)
        assert log.logs._entrance.dropped == 100
    assert thread is not None and thread.is_alive()
    with path.open() as reader:  # It was only waiting: nothing of what had found room is lost.
        assert all("number=" in reader.readline() for _ in range(51))
        log.logs._listener.queue.put(None)  # type: ignore[attr-defined]
        thread.join()
        log.logs._file.close()


def test_the_first_record_after_lost_ones_carries_their_number(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        log.logs._entrance.dropped = 7
        LOG.info("first")
        LOG.info("second")
    first, second = log.text.splitlines()
    assert "dropped_before=7" in first and "dropped_before" not in second


class _GoneTerminal(StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError

    def fileno(self) -> int:
        raise OSError


def test_a_terminal_that_is_gone_does_not_end_the_log(tmp_path: Path) -> None:
    logs = Logs(tmp_path, LogSettings(), Console(file=_GoneTerminal()))
    with logs:
        LOG.warning("first")
        LOG.warning("second")
    assert len(logs.path.read_text().splitlines()) == 2


# ---- Errors


def test_an_unexpected_error_stands_in_the_log_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught, Opened(tmp_path) as log:
        raise KeyError("surprise")
    assert "Traceback" in log.text and "surprise" in log.text
    assert caught.value.__notes__ == [f"{LOG_NOTE}{log.logs.path}"]
    assert log.screen.getvalue() == ""


def test_an_error_told_in_words_stands_in_the_log_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught, Opened(tmp_path) as log:
        raise NodeError("the disk is full")
    assert 'reason="the disk is full"' in log.text and "Traceback" not in log.text
    assert not hasattr(caught.value, "__notes__")


def test_an_unexpected_error_without_a_log_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(KeyError) as caught, Opened(tmp_path / "logs"):
        raise KeyError("surprise")
    assert not hasattr(caught.value, "__notes__")


def test_an_error_in_a_thread_is_logged_and_shown(tmp_path: Path) -> None:
    with Opened(tmp_path) as log:
        thread = threading.Thread(target=lambda: int("x"))
        thread.start()
        thread.join()
    assert "Traceback" in log.text and log.screen.getvalue().startswith("error: unexpected error")


# ---- What the trainer writes


def output_of(folder: Path, content: bytes) -> list[dict[str, Any]]:
    """The log of a trainer that wrote this to its stderr."""

    async def read() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(content)
        stream.feed_eof()
        await log_output(stream)

    with Opened(folder, format="json", file_bytes=10**8) as log:
        asyncio.run(read())
    assert log.screen.getvalue() == ""
    return log.objects


def test_what_the_trainer_writes_is_logged_line_by_line_and_not_shown(tmp_path: Path) -> None:
    found = output_of(tmp_path, b"Traceback:\n\n  oh \xff\nlast")
    assert [each["line"] for each in found] == ["Traceback:", "  oh \ufffd", "last"]
    assert {each["source"] for each in found} == {"trainer"}


@pytest.mark.parametrize("length", [LINE_BYTES, LINE_BYTES + 1, 5 * CHUNK_BYTES])
def test_a_long_line_of_the_trainer_is_cut(tmp_path: Path, length: int) -> None:
    first, second = output_of(tmp_path, b"x" * length + b"\nnext\n")
    assert first["line"] == "x" * LINE_BYTES and second["line"] == "next"


def test_of_endless_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    most = LINES_AT_ONCE + LAST_LINES
    lines = [str(number) for number in range(most)]
    (tmp_path / "a").mkdir()
    assert [each["line"] for each in output_of(tmp_path / "a", "\n".join(lines).encode())] == lines
    found = output_of(tmp_path, "\n".join([*lines, "last"]).encode())
    assert [each.get("lines", each.get("line")) for each in found] == [
        *lines[:LINES_AT_ONCE], 1, *lines[LINES_AT_ONCE + 1 :], "last",
    ]  # fmt: skip
