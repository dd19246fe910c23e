"""Node processes that do not train: first start, second copy, heartbeats, secrets in the argument list, the end."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli import cli
from node.commands import token
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.round_history import Measured, RoundHistory
from node.trainer import Trainer, TrainerOptions
from node.trainer_messages import Failed, Ready, TrainerEvent, Validate
from tests.node.processes import Ended, NodeProcess, command_line
from wallet.keys import Wallet


@dataclass
class Idle:
    """What was seen of a node that was started twice and never trained."""

    home: Path
    words: str
    heights: tuple[int, int]
    maps: str  # what the running process had loaded
    second_copy: Ended
    first: Ended
    resumed_height: int
    command_line: bytes
    second: Ended


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Idle]:
    home = tmp_path_factory.mktemp("idle") / "home"
    node = NodeProcess(home, "--no-training")
    try:
        height = node.until(lambda status: status["height"] >= 1)["height"]
        maps = Path(f"/proc/{node.process.pid}/maps").read_text()
        second_copy = NodeProcess(home, "--no-training").ended()
        later = node.until(lambda status: status["height"] > height)["height"]
        first = node.end(signal.SIGINT)
        words = _shown_words(first.out)
        node = NodeProcess(home, "--no-training", "--token", words)
        resumed = node.until(lambda status: True)["height"]
        seen = command_line(node.process.pid)
        second = node.end(signal.SIGTERM)
    finally:
        node.process.kill()
    yield Idle(home, words, (height, later), maps, second_copy, first, resumed, seen, second)


def _shown_words(out: str) -> str:
    """The twelve words, which may be broken into two lines."""
    _, _, rest = " ".join(out.split()).partition("cannot be made good. ")
    return " ".join(rest.split()[:12])


def test_the_first_start_shows_the_words_of_a_new_wallet(idle: Idle) -> None:
    address = Wallet.from_words(idle.words).address()
    assert idle.first.status == 0 and "Write these twelve words down" in idle.first.out
    assert "keystore.password" in idle.first.out.replace("\n", "") and len(address) == 21


def test_without_training_heartbeat_blocks_go_on(idle: Idle) -> None:
    earlier, later = idle.heights
    assert later > earlier >= 1


def test_the_node_process_never_loads_torch(idle: Idle) -> None:
    assert "plyvel" in idle.maps or "lmdb" in idle.maps  # Compiled modules do show up there.
    assert "torch" not in idle.maps


def test_a_second_copy_on_the_same_directory_is_refused_in_words(idle: Idle) -> None:
    assert idle.second_copy.status == 1 and idle.second_copy.out == ""
    assert idle.second_copy.err.startswith("neuroshard: another node is running on")
    assert "Traceback" not in idle.second_copy.err


def test_the_second_start_goes_on_and_shows_no_secret(idle: Idle) -> None:
    assert idle.second.status == 0 and idle.resumed_height >= idle.heights[1]
    shown = " ".join((idle.second.out + idle.second.err).split())
    assert idle.words not in shown and "twelve words" not in shown
    assert (idle.home / "keystore.password").read_text() not in shown


def test_a_token_in_the_argument_list_is_overwritten_and_warned_of(idle: Idle) -> None:
    assert idle.command_line and idle.words.split()[0].encode() not in idle.command_line
    assert "prefer --token-file" in idle.second.err or "use --token-file" in idle.second.err.replace("\n", " ")


def test_everything_that_a_node_wrote_is_its_owners_alone(idle: Idle) -> None:
    for path in [idle.home, *idle.home.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_file_holds_the_words(idle: Idle) -> None:
    for path in idle.home.rglob("*"):
        assert path.is_dir() or idle.words.encode() not in path.read_bytes(), path


# ---- Commands without a node


@pytest.mark.parametrize("killed", [False, True], ids=["never started", "killed"])
def test_status_without_a_node_ends_with_status_1_and_words(tmp_path: Path, killed: bool) -> None:
    if killed:  # The note of a killed node stays behind; nobody listens on port 1.
        (tmp_path / "api.json").write_text('{"address": "127.0.0.1:1", "pid": 1}')
    result = CliRunner().invoke(cli, ["status", "--json", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1 and isinstance(result.exception, NodeError) and result.stdout == ""
    assert ("does not answer" if killed else "no node is running") in str(result.exception)


@pytest.mark.parametrize("command", [["network", "show"], ["archive", "verify"], ["generate", "The"]])
def test_a_command_on_a_directory_without_a_node_says_what_to_do(tmp_path: Path, command: list[str]) -> None:
    result = CliRunner().invoke(cli, [*command, "--data-dir", str(tmp_path / "nowhere")])
    assert isinstance(result.exception, NodeError) and "start a node there first" in str(result.exception)
    assert not (tmp_path / "nowhere").exists()


def test_generate_without_a_model_says_so(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "home")
    directory.create()
    result = CliRunner().invoke(cli, ["generate", "The", "--data-dir", str(directory.root)])
    assert isinstance(result.exception, NodeError) and "no network yet" in str(result.exception)


# ---- Tokens


def test_a_token_comes_from_the_file_or_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token.choose(None, "words of a file") == "words of a file"
    monkeypatch.setenv("NEUROSHARD_TOKEN", "words of the environment")
    assert token.choose(None, None) == "words of the environment"
    assert token.choose(None, None) is None  # Taken out, so that no child process inherits it.


def test_a_token_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSHARD_TOKEN", "words of the environment")
    with pytest.raises(NodeError, match="give the token once"):
        token.choose(None, "words of a file")


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_token_is_refused_and_makes_no_new_wallet(empty: str) -> None:
    with pytest.raises(NodeError, match="the token is empty"):
        token.choose(None, empty)


# ---- The history of rounds


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"{}\n", b"[1]\n", b'{"round": 1, "valida'])
def test_a_damaged_line_of_the_history_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rounds.jsonl"
    known = [Measured(number, 8.0 - number, None, number * 10, 1) for number in range(3)]
    history = RoundHistory(path)
    for entry in known[:2]:
        history.add(entry)
    path.write_bytes(path.read_bytes() + damage)
    again = RoundHistory(path)
    assert again.entries == known[:2]
    again.add(known[2])
    assert RoundHistory(path).entries == known and again.first == 8.0 and again.last == 6.0


def test_a_round_takes_the_median_time_of_the_newest_whatever_was_paused_or_left_out(tmp_path: Path) -> None:
    history = RoundHistory(tmp_path / "rounds.jsonl")
    assert history.round_ms is None
    # A day of pause, two rounds that nobody measured here, and a clock that somebody set back.
    times = {0: 0, 1: 1_000, 2: 2_000, 3: 86_400_000, 6: 86_403_300, 7: 86_404_500, 8: 5_000, 9: 6_200}
    for number, time_ms in times.items():
        history.add(Measured(number, 4.0, None, 10, time_ms))
    assert history.round_ms == 1_100
    for number in range(10, 21):
        history.add(Measured(number, 4.0, None, 10, 6_200 + 7_000 * (number - 9)))
    assert history.round_ms == 7_000


# ---- The trainer process, seen from the node


async def hear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> list[TrainerEvent]:
    """What the node hears of a trainer that runs this program instead, until it is told of a failure."""
    heard: list[TrainerEvent] = []
    script = tmp_path / "trainer"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o700)
    monkeypatch.setattr("node.trainer.sys.executable", str(script))

    def note(event: TrainerEvent) -> None:
        heard.append(event)
        if isinstance(event, Failed):
            trainer._stopping = True

    trainer = Trainer(TrainerOptions(tmp_path, bytes(32), "cpu", 1), note)
    monkeypatch.setattr("node.trainer.RESTART_SECONDS", (0,))
    trainer.ask(Validate(7, "base"))
    await trainer.run()
    return heard


READY = '{"kind": "Ready", "device": "cpu", "reason": "", "threads": 1, "bigram_loss": 5.0}'


async def test_what_a_trainer_says_is_heard_and_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready, failed = await hear(monkeypatch, tmp_path, f"echo '{READY}'; exit 3")
    assert ready == Ready("cpu", "", 1, 5.0)
    assert isinstance(failed, Failed) and "ended with status 3" in failed.message


async def test_the_last_words_of_a_trainer_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (failed,) = await hear(monkeypatch, tmp_path, """echo '{"kind": "Failed", "message": "no corpus"}'""")
    assert isinstance(failed, Failed) and failed.message.startswith("no corpus; the node goes on without training")


@pytest.mark.parametrize(
    "junk", ["echo junk; exec sleep 60", "head -c 70000 /dev/zero; exec sleep 60"], ids=["junk", "endless"]
)
async def test_a_trainer_that_talks_nonsense_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, junk: str
) -> None:
    (failed,) = await hear(monkeypatch, tmp_path, f"exec 2>/dev/null; {junk}")
    assert isinstance(failed, Failed)


async def test_a_started_trainer_is_asked_again_what_was_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await hear(monkeypatch, tmp_path, f'read line; echo "$line" > {tmp_path}/asked; exit 1')
    assert '"Validate"' in (tmp_path / "asked").read_text() and "7" in (tmp_path / "asked").read_text()
