"""How commands end, seen as a shell sees it: one status for each kind of fault, words on stderr, nothing else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from chain.errors import InvalidTransaction
from node.data_directory import DataDirectory
from node.ending import ended
from node.errors import NodeError, NoNode, NoPassword
from tests.node.processes import PASSWORD, ROOT, hear_ctrl_c
from training.errors import CorpusError
from wallet import keystore_file
from wallet.errors import NodeAway, PasswordNeeded, WrongPassword
from wallet.keys import Wallet

WORDS = Wallet(bytes(range(16))).words()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    return subprocess.run(
        [sys.executable, "-m", "node", *arguments], cwd=ROOT, env={**clean, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NodeError("x"), 1),
        (CorpusError("x"), 1),
        (InvalidTransaction("x"), 1),
        (OSError(28, "No space left on device"), 1),
        (click.UsageError("x"), 2),
        (NoNode("x"), 3),
        (NodeAway("x"), 3),
        (NoPassword("x"), 4),
        (PasswordNeeded("x"), 4),
        (WrongPassword("x"), 4),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_each_kind_of_fault_has_its_status_and_words_on_stderr_alone(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    assert ended(raising(error)) == status
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.strip() and "Traceback" not in shown.err


def test_what_goes_well_ends_with_0_and_says_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: None) == 0 and capsys.readouterr() == ("", "")


def test_what_nobody_expected_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 // 0)


def test_a_wrong_call_ends_with_2(tmp_path: Path) -> None:
    for arguments in (["settings", "--bogus"], ["nonsense"], ["status", "--threads", "2"], ["--threads", "0"]):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr, arguments


def test_a_node_that_is_away_ends_with_3(tmp_path: Path) -> None:
    done = run("status", "--data-dir", str(tmp_path), "--json")
    assert (done.returncode, done.stdout) == (3, "") and "no node is running on" in done.stderr
    (tmp_path / "api.json").write_text('{"address": "127.0.0.1:1", "pid": 1}')
    done = run("status", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "") and "does not answer" in done.stderr


def test_a_password_that_is_wrong_or_missing_ends_with_4(tmp_path: Path) -> None:
    wallet = Wallet.from_words(WORDS)
    home = tmp_path / "home"
    DataDirectory(home).create()
    keystore_file.save(home / "keystore.json", wallet.to_keystore(PASSWORD, scrypt_n=2))
    for environment in ({"NEUROSHARD_PASSWORD": "another"}, {}):
        done = run("--data-dir", str(home), "--no-training", **environment)
        assert (done.returncode, done.stdout) == (4, ""), done.stderr
        assert "password" in done.stderr and "another" not in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    fifo = tmp_path / "token"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "node", "--data-dir", str(tmp_path / "home"), "--token-file", str(fifo)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c,  # noqa: PLW1509
    )  # fmt: skip
    writing = os.open(fifo, os.O_WRONLY)  # opens when the command has opened it, which then waits for words
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    os.close(writing)
    assert process.returncode == 130 and "stopped" in err and "Traceback" not in err


def test_output_that_nobody_reads_any_more_is_no_error_in_words() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "node", "settings"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_with_json_a_good_answer_is_one_object() -> None:
    done = run("settings", "--json")
    assert done.returncode == 0 and isinstance(json.loads(done.stdout), dict)
