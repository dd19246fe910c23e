"""The edges of the command line: output that is gone, input that is no text, impatience, a clock that was never set."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from node.cli import cli
from node.cli_secrets import password_of
from node.clock import EARLIEST_S, LATEST_S, ClockError, check_clock
from node.commands import generate
from node.commands.asking import show_words
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.home import open_home
from node.round_history import RoundHistory
from node.settings import Settings
from node.sign_state import SignState, SignStateError
from node.trainer import Trainer, TrainerOptions
from node.trainer_messages import Ready
from node.wallet_files import Secrets
from tests.node.processes import PASSWORD, ROOT
from wallet.keys import Wallet

WALLET = Wallet(bytes(range(16)))


@pytest.fixture
def _passwords_are_cheap_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults: Any = Wallet.to_keystore.__kwdefaults__
    monkeypatch.setitem(defaults, "scrypt_n", 2)


def settings(root: Path) -> Settings:
    return Settings(root, None, "lab", True, False, "cpu", 1, None, None)


def test_blanks_and_line_ends_around_a_secret_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSHARD_PASSWORD", f" {PASSWORD}\r\n")
    assert password_of({"password_file": None}) == PASSWORD
    assert password_of({"password_file": StringIO(f"\ufeff{PASSWORD}\n")}) == PASSWORD
    assert "NEUROSHARD_PASSWORD" not in os.environ


# ---- The words of a new wallet


def started(home: Path, stdout: Any) -> subprocess.CompletedProcess[str]:
    """A first start that should fail, with this as its stdout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    command = [sys.executable, "-m", "node", "--data-dir", str(home), "--profile", "lab", "--no-training"]
    return subprocess.run(
        command, cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def test_no_wallet_is_made_whose_words_nobody_reads(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = started(tmp_path / "home", writing)
    os.close(writing)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("neuroshard: the words of a new wallet could not be shown (Broken pipe)")
    assert not list((tmp_path / "home").glob("keystore*")) and not (tmp_path / "home" / "network").exists()


def test_words_that_fill_the_disk_or_go_nowhere_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(NodeError, match="it is closed"):
        show_words("abandon ability", Console())
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(NodeError, match="No space left on device"):
            show_words("abandon ability", Console())


@pytest.mark.usefixtures("_passwords_are_cheap_to_check")
def test_the_words_are_shown_after_the_password_is_chosen_and_before_the_wallet_is_kept(tmp_path: Path) -> None:
    seen: list[str] = []
    root = tmp_path / "home"

    def ask(new: bool) -> str:
        seen.append(f"asked {new}")
        return PASSWORD

    def show(words: str) -> None:
        seen.append(words)
        assert not (root / "keystore.json").exists()

    home = open_home(settings(root), Secrets(), ask, show)
    home.directory.unlock()
    assert seen == ["asked True", home.words]
    assert Wallet.load(root / "keystore.json", PASSWORD).words() == home.words


@pytest.mark.usefixtures("_passwords_are_cheap_to_check")
def test_after_words_that_could_not_be_shown_the_next_start_makes_a_wallet(tmp_path: Path) -> None:
    def broken(_: str) -> None:
        raise NodeError("gone")

    with pytest.raises(NodeError, match="gone"):
        open_home(settings(tmp_path), Secrets(), None, broken)
    shown: list[str] = []
    open_home(settings(tmp_path), Secrets(), None, shown.append).directory.unlock()
    assert len(shown[0].split()) == 12


@pytest.mark.usefixtures("_passwords_are_cheap_to_check")
def test_the_words_of_a_token_are_not_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    open_home(settings(tmp_path), Secrets(WALLET.words(), PASSWORD), None, shown.append).directory.unlock()
    assert shown == []


def test_an_empty_password_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" \n")
    arguments = ["--data-dir", str(tmp_path / "home"), "--password-file", str(tmp_path / "password")]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, NodeError) and "the password is empty" in str(result.exception)
    assert not (tmp_path / "home").exists()


# ---- Text that is none


@pytest.mark.parametrize("temperature", [float("nan"), -1.0])
def test_generate_refuses_a_temperature_that_is_no_number_from_0_on(tmp_path: Path, temperature: float) -> None:
    with pytest.raises(NodeError, match="the temperature is"):
        generate.show(tmp_path, "The", generate.Choice(1, temperature, 0))


def test_generate_refuses_a_prompt_that_is_no_text(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["generate", "a\udcff", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, NodeError) and "the prompt holds bytes" in str(result.exception)
    assert "'a\\udcff'" in str(result.exception)


# ---- Files that are folders


def test_a_folder_in_the_place_of_the_votes_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "sign-state").mkdir()
    with pytest.raises(SignStateError, match="cannot be read: Is a directory"):
        SignState.open(tmp_path / "sign-state", bytes(32))


def test_a_folder_in_the_place_of_the_measurements_does_not_stop_a_node(tmp_path: Path) -> None:
    (tmp_path / "rounds.jsonl").mkdir()
    assert RoundHistory(tmp_path / "rounds.jsonl").entries == []


def test_a_file_with_settings_may_lie_in_a_directory_before_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "neuroshard.toml").write_text("threads = 1")
    DataDirectory(tmp_path).create()
    assert (tmp_path / "schema").exists()


# ---- The clock


@pytest.mark.parametrize("now", [-1.0, 0.0, EARLIEST_S - 1, LATEST_S, 1e30])
def test_a_clock_that_was_never_set_is_refused_in_words(now: float) -> None:
    with pytest.raises(ClockError, match=r"this machine's clock says .*: set it"):
        check_clock(now)


def test_a_possible_clock_is_not_refused() -> None:
    check_clock(EARLIEST_S)
    check_clock(LATEST_S - 1)
    check_clock()


# ---- Impatience


def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> Trainer:
    """A trainer whose process runs this shell program, and which is given an hour to end by itself."""
    script = tmp_path / "trainer"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o700)
    monkeypatch.setattr("node.trainer.sys.executable", str(script))
    monkeypatch.setattr("node.trainer.STOP_SECONDS", 3600)
    return Trainer(TrainerOptions(tmp_path, bytes(32), "cpu", 1), lambda event: None)


async def alive(trainer: Trainer) -> asyncio.Task[None]:
    running = asyncio.create_task(trainer.run())
    while trainer._process is None:
        await asyncio.sleep(0.01)
    return running


READY = json.dumps({"kind": "Ready", "device": "cpu", "reason": "", "threads": 1, "bigram_loss": 5.0})


async def test_a_trainer_that_is_not_ready_yet_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainer = child(monkeypatch, tmp_path, "exec sleep 3600")
    running = await alive(trainer)
    await asyncio.wait_for(trainer.stop(), 30)
    await asyncio.wait_for(running, 30)
    assert trainer._process is not None and trainer._process.returncode == -signal.SIGKILL


async def test_a_trainer_that_is_ready_is_asked_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainer = child(monkeypatch, tmp_path, f"echo '{READY}'; cat > /dev/null; touch {tmp_path}/saved")
    heard = asyncio.Event()
    trainer.hear = lambda event: heard.set() if isinstance(event, Ready) else None
    running = await alive(trainer)
    await asyncio.wait_for(heard.wait(), 30)
    await asyncio.wait_for(trainer.stop(), 30)
    await asyncio.wait_for(running, 30)
    assert (tmp_path / "saved").exists()


async def test_asked_twice_the_trainer_is_ended_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainer = child(monkeypatch, tmp_path, f"echo '{READY}'; exec sleep 3600")
    heard = asyncio.Event()
    trainer.hear = lambda event: heard.set() if isinstance(event, Ready) else None
    running = await alive(trainer)
    await asyncio.wait_for(heard.wait(), 30)
    stopping = asyncio.create_task(trainer.stop())
    await asyncio.sleep(0)
    trainer.kill()
    await asyncio.wait_for(stopping, 30)
    await asyncio.wait_for(running, 30)
    assert trainer._process is not None and trainer._process.returncode == -signal.SIGKILL


# ---- What nobody expected


def test_an_unexpected_error_is_one_sentence_for_the_user_and_a_traceback_in_the_log(tmp_path: Path) -> None:
    program = (
        "import node.commands.run as run, sys\n"
        "def surprise(*_): raise KeyError('odd')\n"
        "run._warn = surprise\n"
        "from node.__main__ import main\n"
        "main()"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    (tmp_path / "token").write_text(WALLET.words())
    arguments = ["--data-dir", str(tmp_path / "home"), "--profile", "lab", "--token-file", str(tmp_path / "token")]
    arguments += ["--no-training"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    log = tmp_path / "home" / "logs" / "node.log"
    assert done.returncode == 1
    assert done.stderr == (
        f"neuroshard: an unexpected error (KeyError: 'odd'); more about it in {log}: please report it\n"
    )
    assert "Traceback" in log.read_text() and "in surprise" in log.read_text()
